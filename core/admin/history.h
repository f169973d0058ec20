// The last ten minutes in steps of five seconds, for the chart of the status page. On the main
// loop.
#pragma once

#include <event2/event.h>

#include <cstdint>
#include <deque>
#include <functional>

#include "base/clock.h"

namespace rum {

// What is counted up, and how many there are, at one time.
struct Sample {
  uint64_t at = 0;  // monotonic ms
  uint64_t active = 0;
  uint64_t logins = 0;  // since the start, as all that follows
  uint64_t client_bytes = 0;
  uint64_t upstream_bytes = 0;
};

class History {
 public:
  static constexpr size_t kSamples = 121;
  static constexpr Millis kStep{5000};

  // [main] `take` is called now and at each step.
  History(event_base* base, std::function<Sample()> take);
  ~History();
  History(const History&) = delete;

  // [main] The oldest first.
  const std::deque<Sample>& samples() const { return samples_; }
  // Most sessions at a time that a sample saw since the start.
  uint64_t most_active() const { return most_active_; }

 private:
  void Take();
  static void OnStep(evutil_socket_t, short, void* self);

  const std::function<Sample()> take_;
  std::deque<Sample> samples_;
  uint64_t most_active_ = 0;
  event* step_;
};

}  // namespace rum
