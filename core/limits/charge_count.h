// What this process has charged to the bucket of a key since the bucket was last full, for other
// processes: an absolute number, so that whatever is lost or repeated, nothing is counted twice.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace rum {

struct RateCharge {
  uint64_t span = 0;    // of the time since the bucket was full; a later one is greater
  uint64_t micros = 0;  // time until the bucket would have been full again
  bool operator==(const RateCharge&) const = default;
};
using KeyCharges = std::vector<std::pair<std::string, RateCharge>>;

// Guarded by the lock of its bucket. `spans`: those of a table that have begun.
class ChargeCount {
 public:
  void Add(uint64_t micros, std::atomic<uint64_t>& spans) {
    if (span_ == 0) span_ = spans.fetch_add(1, std::memory_order_relaxed) + 1;
    micros_ += micros;
    fresh_ = true;
  }
  // The number was not published yet, so the key must not be forgotten.
  bool fresh() const { return fresh_; }
  // nullopt: there is nothing to publish, as the bucket is full and others know all.
  std::optional<RateCharge> Publish(bool full) {
    if (full && !fresh_) span_ = micros_ = 0;
    fresh_ = false;
    if (span_ == 0) return std::nullopt;
    return RateCharge{span_, micros_};
  }

 private:
  uint64_t micros_ = 0;
  uint64_t span_ : 63 = 0;  // 0: none has begun
  uint64_t fresh_ : 1 = false;
};

}  // namespace rum
