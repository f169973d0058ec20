// Deadlines of one common duration: a queue in order of time with one timer for all, so
// that arming and disarming is a pointer swap and no session owns a timer.
#pragma once

#include <cstdint>

#include "base/clock.h"
#include "net/loop.h"

namespace rum {

class Session;

// Part of what waits. Unlinks itself when destroyed.
struct Deadline {
  Deadline* prev = nullptr;
  Deadline* next = nullptr;
  Session* session = nullptr;
  uint64_t at = 0;  // monotonic ms

  Deadline() = default;
  Deadline(const Deadline&) = delete;
  Deadline& operator=(const Deadline&) = delete;
  ~Deadline() { Disarm(); }
  bool armed() const { return prev != nullptr; }
  void Disarm() {
    if (!prev) return;
    prev->next = next;
    next->prev = prev;
    prev = next = nullptr;
  }
};

// [worker] `expired` is called for each session whose time is over; it may disarm and destroy any
// deadline, its own included.
class Deadlines {
 public:
  using Expired = void (*)(Session& session);

  Deadlines(Loop& loop, Millis duration, Expired expired);
  ~Deadlines();
  Deadlines(const Deadlines&) = delete;

  // Arms, or arms anew. A duration of zero means off: nothing is armed.
  void Arm(Deadline& deadline, Session& session);
  // What is armed from now on lasts this long; what is armed already ends at most when it would
  // have, or this much later if that is sooner.
  void set_duration(Millis duration);
  Millis duration() const { return duration_; }

 private:
  static void OnTimer(void* self);
  void Schedule(uint64_t now);

  Millis duration_;
  Expired expired_;
  Deadline head_;  // of a ring: next is the earliest
  Loop::Timer timer_;
  bool scheduled_ = false;
};

}  // namespace rum
