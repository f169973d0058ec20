#include "proxy/loop.h"

#include <algorithm>

#include "base/clock.h"

namespace rum {

Loop::Ticket Loop::Watch(int fd, uint32_t events, Watcher& watcher, uint32_t which) {
  if (!free_) {
    slots_.emplace_back();
    free_ = static_cast<Ticket>(slots_.size() - 1);
  }
  const Ticket ticket = free_;
  Slot& slot = slots_[ticket];
  epoll_event event = {};
  event.events = events;
  event.data.u64 = uint64_t{slot.generation} << 32 | ticket;
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) return 0;
  free_ = slot.which;
  slot.watcher = &watcher;
  slot.which = which;
  return ticket;
}

void Loop::Forget(Ticket ticket) {
  Slot& slot = slots_[ticket];
  slot.watcher = nullptr;
  ++slot.generation;
  slot.which = std::exchange(free_, ticket);
}

void Loop::Unwatch(Ticket ticket, int fd) {
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
  Forget(ticket);
}

void Loop::Turn(std::chrono::milliseconds most) {
  int count = ::epoll_wait(epoll_.get(), events_, kEvents, WaitMillis(most));
  for (int i = 0; i < count; ++i) {
    // Each may have been forgotten by one before.
    const Slot& slot = slots_[static_cast<uint32_t>(events_[i].data.u64)];
    if (slot.watcher && slot.generation == events_[i].data.u64 >> 32) {
      slot.watcher->OnReady(slot.which, events_[i].events);
    }
  }
  if (!timers_.empty()) RunTimers();
}

int Loop::WaitMillis(std::chrono::milliseconds most) const {
  auto wait = static_cast<uint64_t>(most.count());
  if (!timers_.empty()) {
    const uint64_t now = NowMicros(), at = timers_.begin()->first.first;
    wait = std::min(wait, at > now ? (at - now + 999) / 1000 : 0);
  }
  return static_cast<int>(std::min<uint64_t>(wait, 60000));
}

void Loop::RunTimers() {
  const std::pair<uint64_t, uint64_t> last(NowMicros(), set_);
  for (auto due = timers_.begin(); due != timers_.end() && due->first.first <= last.first;) {
    if (due->first.second > last.second) {  // set by one before
      ++due;
      continue;
    }
    Timer& timer = *due->second;
    timer.Cancel();
    timer.callback_(timer.owner_);
    due = timers_.begin();  // it may have set and cancelled others
  }
}

void Loop::Timer::Set(std::chrono::microseconds delay) {
  Cancel();
  key_ = {NowMicros() + static_cast<uint64_t>(delay.count()), ++loop_.set_};
  loop_.timers_.emplace(key_, this);
}

void Loop::Timer::Cancel() {
  if (key_.second == 0) return;
  loop_.timers_.erase(key_);
  key_ = {};
}

}  // namespace rum
