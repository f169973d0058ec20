// What modules remember across restarts ("rum.state/1"): small files in the state directory, one
// set for each rum process that listens on other addresses. Written by a thread of their own, for
// as long as it takes: a disk may be slow.
#pragma once

#include <event2/event.h>
#include <sys/types.h>
#include <unistd.h>

#include <atomic>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/address.h"
#include "base/main_queue.h"

namespace rum {

class StateStore {
 public:
  static constexpr size_t kBytesMost = 1024 * 1024;

  // [main] One at a time. The directory is made when something is kept in it; one that others than
  // root, this user and `owner`, who this user is to become, may write to is not used.
  StateStore(event_base* base, std::string directory, const std::vector<Address>& listeners,
             uid_t owner = ::geteuid());
  // [main] Writes what waits. Nobody may save any more.
  ~StateStore();
  // [main] False: without descriptors nothing would be written in time.
  bool works() const { return due_ && queue_.works(); }
  // [main] Writes what waits, now, before it returns.
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
  using Files = std::map<std::string, std::string, std::less<>>;  // by their name
  Files TakeWaiting();
  void Write(const Files& files);
  void Join();
  static void OnDue(evutil_socket_t, short, void* self);

  const std::string directory_;
  const std::string key_;
  const uid_t owner_;
  MainQueue queue_;
  event* due_ = nullptr;
  std::thread writer_;
  std::atomic<bool> writes_ = false;  // the thread is not through
  bool failure_logged_ = false;       // that the directory takes nothing; whoever writes
  std::mutex mutex_;                  // guards waiting_ and given_up_
  bool given_up_ = false;
  Files waiting_;
};

}  // namespace rum
