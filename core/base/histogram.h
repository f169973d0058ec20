// Durations by buckets: one histogram per worker, summed up by the reader.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/counter.h"

namespace rum {

// kBounds: the upper bounds of all buckets but the last, in microseconds, ascending.
template <const auto& kBounds>
class Histogram {
 public:
  static constexpr size_t kBuckets = kBounds.size() + 1;  // the last one has no upper bound

  // [worker]
  void Add(uint64_t micros) {
    size_t i = 0;
    while (i < kBounds.size() && micros > kBounds[i]) ++i;
    buckets_[i].Add(1);
    micros_.Add(micros);
  }

  // [any] The count of bucket `i` alone, and the sum of all durations.
  uint64_t bucket(size_t i) const { return buckets_[i].get(); }
  uint64_t micros() const { return micros_.get(); }

 private:
  std::array<Counter, kBuckets> buckets_;
  Counter micros_;
};

}  // namespace rum
