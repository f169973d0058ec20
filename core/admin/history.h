// Samples of the last ten minutes, one per five seconds, for the charts of the status page.
#pragma once

#include <event2/event.h>

#include <cstdint>
#include <deque>
#include <functional>

#include "base/clock.h"

namespace rum {

// Counters and gauges at one time.
struct Sample {
  uint64_t at = 0;  // monotonic ms
  uint64_t active = 0;
  uint64_t logins = 0;  // since the start; also below
  uint64_t client_bytes = 0;
  uint64_t upstream_bytes = 0;
  uint64_t refused = 0;  // clients and logins
  uint64_t login_failures = 0;
  uint64_t connect_failures = 0;
};

class History {
 public:
  static constexpr size_t kSamples = 121;
  static constexpr Millis kStep{5000};

  // [main] Calls `take` now and at each interval.
  History(event_base* base, std::function<Sample()> take);
  ~History();
  History(const History&) = delete;

  // [main] Oldest first.
  const std::deque<Sample>& samples() const { return samples_; }

 private:
  void Take();
  static void OnStep(evutil_socket_t, short, void* self);

  const std::function<Sample()> take_;
  std::deque<Sample> samples_;
  event* step_;
};

}  // namespace rum
