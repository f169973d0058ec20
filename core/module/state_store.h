// What modules remember across restarts ("rum.state/1"): small files in the state directory, one
// set for each rum process that listens on other addresses. Written by the main thread.
#pragma once

#include <event2/event.h>

#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "base/main_queue.h"

namespace rum {

class StateStore {
 public:
  static constexpr size_t kBytesMost = 1024 * 1024;

  // [main] One at a time. The directory is made when something is kept in it.
  StateStore(event_base* base, std::string directory, const std::vector<Address>& listeners);
  // [main] Writes what waits. Nobody may save any more.
  ~StateStore();
  // [main] False: without descriptors nothing would be written in time.
  bool works() const { return due_ && queue_.works(); }
  // [main] Writes what waits, now.
  void WriteAll();
  // [main] Another process keeps the state from now on: nothing is written here any more.
  void GiveUp();
  StateStore(const StateStore&) = delete;
  StateStore& operator=(const StateStore&) = delete;

  // [any] The calls of rum/module.h, for the store that there is.
  static int32_t SaveForModule(const char* name, const void* bytes, size_t size);
  static size_t LoadForModule(const char* name, void* bytes, size_t size);

 private:
  void Save(std::string_view name, std::string bytes);
  std::string Load(std::string_view name) const;
  std::string PathOf(std::string_view name) const;
  static void OnDue(evutil_socket_t, short, void* self);

  const std::string directory_;
  const std::string key_;
  MainQueue queue_;
  event* due_ = nullptr;
  bool told_ = false;  // that the directory takes nothing
  std::mutex mutex_;   // guards waiting_ and given_up_
  bool given_up_ = false;
  std::map<std::string, std::string, std::less<>> waiting_;
};

}  // namespace rum
