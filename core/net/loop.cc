#include "net/loop.h"

#include <errno.h>

#include <algorithm>

#include "base/clock.h"
#include "config.h"

namespace rum {
namespace {

constexpr uint64_t kLongestWait = 60000000;  // microseconds

}  // namespace

Loop::Ticket Loop::Watch(int fd, uint32_t events, Watcher& watcher, uint32_t which) {
  if (!free_) {
    slots_.emplace_back();
    free_ = static_cast<Ticket>(slots_.size() - 1);
  }
  const Ticket ticket = free_;
  Slot& slot = slots_[ticket];
  epoll_event event = EventOf(ticket, events);
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) return 0;
  free_ = slot.which;
  slot.watcher = &watcher;
  slot.which = which;
  return ticket;
}

epoll_event Loop::EventOf(Ticket ticket, uint32_t events) const {
  epoll_event event = {};
  event.events = events;
  event.data.u64 = uint64_t{slots_[ticket].generation} << 32 | ticket;
  return event;
}

void Loop::Change(Ticket ticket, int fd, uint32_t events) {
  epoll_event event = EventOf(ticket, events);
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event);
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
  int count = Wait(most);
  for (int i = 0; i < count; ++i) {
    // An earlier callback of this turn may have removed it.
    const Slot& slot = slots_[static_cast<uint32_t>(events_[i].data.u64)];
    if (slot.watcher && slot.generation == events_[i].data.u64 >> 32) {
      slot.watcher->OnReady(slot.which, events_[i].events);
    }
  }
  if (!timers_.empty()) RunTimers();
}

int Loop::Wait(std::chrono::microseconds most) {
  auto wait = std::min<uint64_t>(static_cast<uint64_t>(most.count()), kLongestWait);
  if (!timers_.empty()) {
    const uint64_t now = NowMicros(), at = timers_.begin()->first.first;
    wait = std::min(wait, at > now ? at - now : 0);
  }
#ifdef HAVE_EPOLL_PWAIT2
  if (!coarse_) {
    timespec time = {static_cast<time_t>(wait / 1000000), static_cast<long>(wait % 1000000 * 1000)};
    int count = ::epoll_pwait2(epoll_.get(), events_, kEvents, &time, nullptr);
    // Not supported by Linux before 5.11, or blocked by a seccomp filter.
    coarse_ = count < 0 && errno != EINTR;
    if (!coarse_) return count;
  }
#endif
  return ::epoll_wait(epoll_.get(), events_, kEvents, static_cast<int>((wait + 999) / 1000));
}

void Loop::RunTimers() {
  const std::pair<uint64_t, uint64_t> last(NowMicros(), set_);
  for (auto due = timers_.begin(); due != timers_.end() && due->first.first <= last.first;) {
    if (due->first.second > last.second) {  // set by a callback of this run; runs in the next turn
      ++due;
      continue;
    }
    Timer& timer = *due->second;
    timer.Cancel();
    timer.callback_(timer.owner_);
    due = timers_.begin();  // the callback may have set and cancelled timers
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
