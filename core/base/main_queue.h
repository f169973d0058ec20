// Runs on the main loop what other threads post to it.
#pragma once

#include <event2/event.h>

#include <functional>
#include <mutex>
#include <vector>

#include "base/fd.h"

namespace rum {

class MainQueue {
 public:
  explicit MainQueue(event_base* base);  // [main]
  // [main] What has not run is dropped. Nobody may post any more.
  ~MainQueue();
  MainQueue(const MainQueue&) = delete;
  MainQueue& operator=(const MainQueue&) = delete;

  // [main] False: there was no descriptor or no memory, and nothing that is posted would run.
  bool works() const { return event_ != nullptr; }
  // [any] Tasks run in the order in which they came.
  void Post(std::function<void()> task);

 private:
  static void OnPosted(evutil_socket_t, short, void* self);

  Fd wake_;
  event* event_ = nullptr;
  std::mutex mutex_;  // guards posted_
  std::vector<std::function<void()>> posted_;
};

}  // namespace rum
