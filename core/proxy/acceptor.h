// Accepts clients of one listener on one worker, in batches, and hands each to the least busy
// worker. A listener has one acceptor at a time; if its worker is stuck, a new one on another
// worker takes over.
#pragma once

#include <memory>

#include "base/fd.h"
#include "net/loop.h"

namespace rum {

class Listener;
class Proxy;
class Worker;

class Acceptor final : private Loop::Watcher {
 public:
  // [main] Must outlive the worker's thread.
  Acceptor(Proxy& proxy, Listener& listener, Worker& worker);
  Acceptor(const Acceptor&) = delete;

  // [worker] Starts accepting.
  void Begin();
  // [worker] Stops accepting: another worker takes over, or the listener is closed.
  void End();
  Worker& worker() const { return worker_; }

 private:
  void OnReady(uint32_t, uint32_t) override { Accept(); }
  static void OnPauseOver(void* self);
  void Watch();
  void Unwatch();
  void Accept();
  bool WaitForRoom();
  void Pause(int error);
  void Refuse();

  Proxy& proxy_;
  Listener& listener_;
  Worker& worker_;
  Fd reserve_;  // closed for a moment when descriptors run out, to refuse a client
  bool on_ = false;
  Loop::Ticket ticket_ = 0;             // 0: paused, or not accepting
  std::unique_ptr<Loop::Timer> pause_;  // exists during a pause
  int single_ = 0;                      // remaining turns in which only one client is accepted
  uint64_t room_until_ = 0;      // end of a wait for a descriptor, monotonic ms; 0: none waits
  uint64_t failure_logged_ = 0;  // monotonic ms of the last log line about a failed accept
};

}  // namespace rum
