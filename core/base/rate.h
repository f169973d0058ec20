// So many times within such a time: 5/s, 20/1m. As users write it, and the bucket that keeps to it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"

namespace rum {

struct Rate {
  uint32_t count = 0;  // 0: off, everything is allowed
  Millis period{0};

  bool on() const { return count != 0; }
  bool operator==(const Rate&) const = default;
};

// "5/s", "100/m", "10/h", "20/90s", or "off". At most a million times, within a day.
Result<Rate> ParseRate(std::string_view text);

// The shortest way to write it: "5/s", "20/90s", "off".
std::string FormatRate(Rate rate);

// A token bucket for one rate: `count` at once, and then one each period / count. All that it keeps
// is when it will be full again, so an idle one need not be kept at all.
class Bucket {
 public:
  // `now` in microseconds of a clock that does not jump. False: none is left.
  bool Take(Rate rate, uint64_t now);
  bool Full(uint64_t now) const { return now >= full_at_; }
  // How many Take() would succeed now.
  uint32_t Left(Rate rate, uint64_t now) const;
  bool Has(Rate rate, uint64_t now) const { return Left(rate, now) > 0; }
  void Refill() { full_at_ = 0; }

 private:
  uint64_t full_at_ = 0;
};

}  // namespace rum
