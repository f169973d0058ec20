// The loop of a worker: sockets, by epoll, and timers. The main thread's loop is libevent's; this
// one is for what a session costs: a socket takes 16 bytes here, is registered once and closed
// without a further system call.
#pragma once

#include <sys/epoll.h>

#include <chrono>
#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "base/fd.h"

namespace rum {

// All of it but Silence() is for one thread at a time. Callbacks may watch, forget and set whatever
// they like.
class Loop {
 public:
  // Is told what its sockets have. It must forget them before it goes.
  class Watcher {
   public:
    // `which` is what Watch() was given; `what` is epoll's, with EPOLLERR and EPOLLHUP
    // whatever was asked for.
    virtual void OnReady(uint32_t which, uint32_t what) = 0;

   protected:
    ~Watcher() = default;
  };

  // Calls back once after a delay. It lives in what it is for.
  class Timer {
   public:
    using Callback = void (*)(void* owner);
    Timer(Loop& loop, Callback callback, void* owner)
        : loop_(loop), callback_(callback), owner_(owner) {}
    ~Timer() { Cancel(); }
    Timer(const Timer&) = delete;
    Timer& operator=(const Timer&) = delete;
    // Anew if it is set already. Not in this turn of the loop, however short the delay.
    void Set(std::chrono::microseconds delay);
    void Cancel();

   private:
    friend class Loop;
    Loop& loop_;
    const Callback callback_;
    void* const owner_;
    std::pair<uint64_t, uint64_t> key_;  // its place in timers_; 0, 0: not set
  };

  // What Watch() gives; 0: nothing.
  using Ticket = uint32_t;

  Loop() : epoll_(::epoll_create1(EPOLL_CLOEXEC)), slots_(1) {}
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;
  bool ok() const { return static_cast<bool>(epoll_); }

  // `events` is epoll's, with EPOLLET or without. 0: the kernel has no memory for it.
  [[nodiscard]] Ticket Watch(int fd, uint32_t events, Watcher& watcher, uint32_t which);
  // Nothing is told any more. The socket is closed in a moment, which ends the kernel's part.
  void Forget(Ticket ticket);
  // The same for a socket that stays open, here or in another process.
  void Unwatch(Ticket ticket, int fd);

  // [any] Stops the kernel's notifications of this socket; those it has already given still arrive.
  // The loop's own thread forgets the ticket later.
  void Silence(int fd) const { ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr); }

  // Waits at most this long, and calls the watchers of what has come.
  void Turn(std::chrono::milliseconds most);

 private:
  static constexpr int kEvents = 256;  // told in one turn
  // A descriptor's number is soon another socket's, and one that was closed here can still be open
  // for a moment in a child that is about to run another program. So the kernel is given a number
  // that is never used again: the slot's, and how often it was taken.
  struct Slot {
    Watcher* watcher = nullptr;  // nullptr: free
    uint32_t generation = 0;
    uint32_t which = 0;  // free: the next free slot, 0: none
  };

  int Wait(std::chrono::microseconds most);
  void RunTimers();

  Fd epoll_;
  bool coarse_ = false;      // the kernel waits for whole milliseconds only
  std::vector<Slot> slots_;  // the first one is not used
  Ticket free_ = 0;
  std::map<std::pair<uint64_t, uint64_t>, Timer*> timers_;  // by time and order of setting
  uint64_t set_ = 0;                                        // how often a timer was set
  epoll_event events_[kEvents];
};

}  // namespace rum
