// The token bucket of a key, and what this process has charged to it since it was last full, for
// other processes: an absolute number, so that whatever is lost or repeated, nothing is counted
// twice.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/rate.h"

namespace rum {

struct RateCharge {
  uint64_t span = 0;    // of the time since the bucket was full; a later one is greater
  uint64_t micros = 0;  // time until the bucket would have been full again
  bool operator==(const RateCharge&) const = default;
};
template <class Key>
using ChargesOf = std::vector<std::pair<Key, RateCharge>>;
using KeyCharges = ChargesOf<std::string>;

// What the buckets of a table have in common: whether their charges are counted, and how many spans
// have begun.
class ChargeCounts {
 public:
  // [main] From here on, charges are counted.
  void Begin() { on_ = true; }
  bool on() const { return on_; }
  uint64_t NextSpan() { return spans_.fetch_add(1, std::memory_order_relaxed) + 1; }

  // The charges of at most `most` keys. [one thread] A shard has a `mutex`, and `keys`, each with a
  // `bucket`.
  template <class Shard, class Key = typename decltype(Shard::keys)::key_type>
  ChargesOf<Key> Publish(std::span<Shard> shards, size_t most, uint64_t (*clock)()) const {
    ChargesOf<Key> all;
    if (spans_.load(std::memory_order_relaxed) == 0) return all;
    for (Shard& shard : shards) {
      std::lock_guard lock(shard.mutex);
      const uint64_t now = clock();
      for (auto& [key, entry] : shard.keys) {
        if (all.size() == most) return all;
        if (auto charge = entry.bucket.Publish(now)) all.emplace_back(key, *charge);
      }
    }
    return all;
  }

 private:
  bool on_ = false;
  std::atomic<uint64_t> spans_ = 0;
};

// Guarded by the lock of its key.
class ChargedBucket : public Bucket {
 public:
  // Takes a token if there is one, and counts it for other processes in any case.
  void Take(Rate rate, uint64_t now, ChargeCounts& counts) {
    Bucket::Take(rate, now);
    if (!counts.on() || !rate.on()) return;
    if (span_ == 0) span_ = counts.NextSpan();
    micros_ += TokenMicros(rate);
    fresh_ = true;
  }
  // The bucket is full, and other processes have all of its charges.
  bool MayForget(uint64_t now) const { return Full(now) && !fresh_; }
  // nullopt: there is nothing that others must have.
  std::optional<RateCharge> Publish(uint64_t now) {
    if (MayForget(now)) span_ = micros_ = 0;
    fresh_ = false;
    if (span_ == 0) return std::nullopt;
    return RateCharge{span_, micros_};
  }

 private:
  uint64_t micros_ = 0;
  uint64_t span_ : 63 = 0;      // 0: none has begun
  uint64_t fresh_ : 1 = false;  // charged since the last Publish()
};

}  // namespace rum
