// Accepts clients of one listener on one worker, in batches, and hands each to the worker that has
// the fewest. A listener has one at a time, and a new one on another worker when that one is stuck.
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
  // [main] Outlives the worker's thread.
  Acceptor(Proxy& proxy, Listener& listener, Worker& worker);
  Acceptor(const Acceptor&) = delete;

  // [worker] Accepts from now on.
  void Begin();
  // [worker] And no longer: another worker does, or the listener is closed.
  void End();
  Worker& worker() const { return worker_; }

 private:
  void OnReady(uint32_t, uint32_t) override { Accept(); }
  static void OnPauseOver(void* self);
  void Watch();
  void Unwatch();
  void Accept();
  void Pause(int error);
  void Refuse();

  Proxy& proxy_;
  Listener& listener_;
  Worker& worker_;
  Fd reserve_;  // given up for a moment when descriptors run out, to tell a client so
  bool on_ = false;
  Loop::Ticket ticket_ = 0;             // 0: it rests, or does not accept
  std::unique_ptr<Loop::Timer> pause_;  // while it is on
  int single_ = 0;                      // turns to come in which only one client is accepted
  uint64_t failure_logged_ = 0;         // monotonic ms of the last log line about a failing accept
};

}  // namespace rum
