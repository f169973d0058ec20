// Deadlines with one common duration: a queue ordered by time with one timer for all. Arming and
// disarming only swap pointers, and no session owns a timer.
#pragma once

#include <cstdint>

#include "base/clock.h"
#include "net/loop.h"

namespace rum {

class Session;

// Base of what can wait. Unlinks itself when destroyed.
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

// [worker] Calls `expired` for each session whose time is up; the callback may disarm and destroy
// any deadline, including that one.
class Deadlines {
 public:
  using Expired = void (*)(Session& session);

  Deadlines(Loop& loop, Millis duration, Expired expired);
  ~Deadlines();
  Deadlines(const Deadlines&) = delete;

  // Arms or rearms. A duration of zero means off: does nothing.
  void Arm(Deadline& deadline, Session& session);
  // Changes the duration of deadlines armed from now on. Those already armed keep their time, or
  // end after the new duration if that is sooner.
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
