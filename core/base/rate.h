// Rates in text form (5/s, 20/1m), and the token bucket that enforces one.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"

namespace rum {

struct Rate {
  uint32_t count = 0;  // 0: off, unlimited
  Millis period{0};

  bool on() const { return count != 0; }
  bool operator==(const Rate&) const = default;
};

// Parses "5/s", "100/m", "10/h", "20/90s" or "off". At most a million per period; the period is at
// most a day.
Result<Rate> ParseRate(std::string_view text);

// The time after which a bucket of this rate has one more token, in microseconds.
uint64_t TokenMicros(Rate rate);

// The shortest text that ParseRate() accepts: "5/s", "20/90s", "off".
std::string FormatRate(Rate rate);

// A token bucket: a burst of `count`, then one token each period / count. Its only state is the
// time at which it is full again, so a full bucket need not be stored.
class Bucket {
 public:
  // `now`: monotonic microseconds. False: no token is left.
  bool Take(Rate rate, uint64_t now);
  bool Full(uint64_t now) const { return now >= full_at_; }
  // How many calls of Take() would succeed now.
  uint32_t Left(Rate rate, uint64_t now) const;
  bool Has(Rate rate, uint64_t now) const { return Left(rate, now) > 0; }
  void Refill() { full_at_ = 0; }
  // Takes what others have taken from this bucket at `since` or later, as time.
  void Charge(uint64_t micros, uint64_t since);
  // What was taken beyond an empty bucket counts, but no more than the bucket holds: a token is
  // left after one period at most.
  void Bound(Rate rate, uint64_t now);

 private:
  uint64_t full_at_ = 0;
};

}  // namespace rum
