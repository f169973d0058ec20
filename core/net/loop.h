// The event loop of a worker: sockets by epoll, and timers. Unlike libevent, which the main thread
// uses, it is optimized for the cost of a session: a socket needs 16 bytes, one registration, at
// most one change of it, and no system call besides close(2).
#pragma once

#include <sys/epoll.h>

#include <chrono>
#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "base/fd.h"

namespace rum {

// Each loop but its Silence() belongs to one thread at a time. Callbacks may watch and forget
// sockets and set timers.
class Loop {
 public:
  // Receives the events of its sockets. It must forget them before it is destroyed.
  class Watcher {
   public:
    // `which` is the value given to Watch(); `what` holds epoll events. EPOLLERR and EPOLLHUP are
    // reported even if not requested.
    virtual void OnReady(uint32_t which, uint32_t what) = 0;

   protected:
    ~Watcher() = default;
  };

  // Calls back once after a delay. A member of the object that it serves.
  class Timer {
   public:
    using Callback = void (*)(void* owner);
    Timer(Loop& loop, Callback callback, void* owner)
        : loop_(loop), callback_(callback), owner_(owner) {}
    ~Timer() { Cancel(); }
    Timer(const Timer&) = delete;
    Timer& operator=(const Timer&) = delete;
    // Replaces an earlier setting. Never fires in the current turn, however short the delay.
    void Set(std::chrono::microseconds delay);
    void Cancel();

   private:
    friend class Loop;
    Loop& loop_;
    const Callback callback_;
    void* const owner_;
    std::pair<uint64_t, uint64_t> key_;  // key in timers_; {0, 0}: not set
  };

  // Returned by Watch(); 0: not watched.
  using Ticket = uint32_t;

  Loop() : epoll_(::epoll_create1(EPOLL_CLOEXEC)), slots_(1) {}
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;
  bool ok() const { return static_cast<bool>(epoll_); }

  // `events` are epoll events, optionally with EPOLLET. Returns 0 if the kernel is out of memory.
  [[nodiscard]] Ticket Watch(int fd, uint32_t events, Watcher& watcher, uint32_t which);
  // Requests other events for a watched socket. Those that hold already are reported, too. Leaves
  // errno alone.
  void Change(Ticket ticket, int fd, uint32_t events);
  // From now on this watcher gets the events of the socket, at no cost.
  void Rewatch(Ticket ticket, Watcher& watcher, uint32_t which) {
    slots_[ticket].watcher = &watcher;
    slots_[ticket].which = which;
  }
  // Stops notifications; the caller is about to close the socket, which unregisters it.
  void Forget(Ticket ticket);
  // Stops notifications for a socket that stays open, here or in another process.
  void Unwatch(Ticket ticket, int fd);

  // [any] Stops the kernel's notifications of this socket; those already given still arrive. The
  // loop's own thread forgets the ticket later.
  void Silence(int fd) const { ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr); }

  // Waits at most `most`, then calls the watchers of ready sockets and due timers.
  void Turn(std::chrono::milliseconds most);

 private:
  static constexpr int kEvents = 256;  // events per turn
  // The kernel reuses descriptor numbers, and a descriptor closed here can stay open briefly in a
  // child before its exec. So epoll events carry an id that is not reused: the slot and its
  // generation.
  struct Slot {
    Watcher* watcher = nullptr;  // nullptr: the slot is free
    uint32_t generation = 0;
    uint32_t which = 0;  // in a free slot: the next free slot, 0: none
  };

  epoll_event EventOf(Ticket ticket, uint32_t events) const;
  int Wait(std::chrono::microseconds most);
  void RunTimers();

  Fd epoll_;
  bool coarse_ = false;      // epoll_pwait2(2) is unavailable: timeouts have a resolution of 1 ms
  std::vector<Slot> slots_;  // slot 0 is unused
  Ticket free_ = 0;
  std::map<std::pair<uint64_t, uint64_t>, Timer*> timers_;  // key: due time and sequence number
  uint64_t set_ = 0;                                        // the last sequence number
  epoll_event events_[kEvents];
};

}  // namespace rum
