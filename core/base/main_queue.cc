#include "base/main_queue.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cstdint>
#include <utility>

namespace rum {

MainQueue::MainQueue(event_base* base) : wake_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
  if (!wake_) return;
  event_ = event_new(base, wake_.get(), EV_READ | EV_PERSIST, OnPosted, this);
  if (event_ && event_add(event_, nullptr) != 0) event_free(std::exchange(event_, nullptr));
}

MainQueue::~MainQueue() {
  if (event_) event_free(event_);
}

void MainQueue::Post(std::function<void()> task) {
  {
    std::lock_guard lock(mutex_);
    posted_.push_back(std::move(task));
    if (posted_.size() > 1) return;  // the first one has woken the loop
  }
  uint64_t one = 1;
  (void)!::write(wake_.get(), &one, sizeof one);
}

void MainQueue::OnPosted(evutil_socket_t fd, short, void* self) {
  auto& queue = *static_cast<MainQueue*>(self);
  uint64_t count;
  (void)!::read(fd, &count, sizeof count);
  std::vector<std::function<void()>> tasks;
  {
    std::lock_guard lock(queue.mutex_);
    tasks.swap(queue.posted_);
  }
  for (auto& task : tasks) task();
}

}  // namespace rum
