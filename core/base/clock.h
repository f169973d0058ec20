// Monotonic clocks for deadlines and measurements, and durations in text form.
#pragma once

#include <sys/time.h>
#include <time.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace rum {

using Millis = std::chrono::milliseconds;

// Monotonic milliseconds; unaffected by changes of the wall clock.
inline uint64_t NowMillis() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
  return static_cast<uint64_t>(t.tv_sec) * 1000 + static_cast<uint64_t>(t.tv_nsec) / 1000000;
}

// Monotonic microseconds, for measurements.
inline uint64_t NowMicros() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<uint64_t>(t.tv_sec) * 1000000 + static_cast<uint64_t>(t.tv_nsec) / 1000;
}

// For timers of libevent.
constexpr timeval TimevalOf(Millis time) {
  return {static_cast<time_t>(time.count() / 1000),
          static_cast<suseconds_t>(time.count() % 1000 * 1000)};
}

// Parses "250ms", "6s", "5m", "1h", "off" or "0" (both zero). A bare number is in seconds, as in
// older versions. At most ten years.
Result<Millis> ParseDuration(std::string_view text);

// The shortest text that ParseDuration() accepts: "6s", "250ms", "off".
std::string FormatDuration(Millis duration);

}  // namespace rum
