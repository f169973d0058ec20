// Runs tasks of other threads on the main loop.
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
  // [main] Drops tasks that have not run. No thread may post any more.
  ~MainQueue();
  MainQueue(const MainQueue&) = delete;
  MainQueue& operator=(const MainQueue&) = delete;

  // [main] False if no descriptor or memory was available; posted tasks would never run.
  bool works() const { return event_ != nullptr; }
  // [any] Tasks run in the order in which they were posted.
  void Post(std::function<void()> task);

 private:
  static void OnPosted(evutil_socket_t, short, void* self);

  Fd wake_;
  event* event_ = nullptr;
  std::mutex mutex_;  // guards posted_
  std::vector<std::function<void()>> posted_;
};

}  // namespace rum
