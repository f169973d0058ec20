// Remembers how long servers took for the two steps of a refused login, so that rum's own refusal
// of an unknown user can take as long. One for each worker; no locks.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

namespace rum::mysql {

class Pace {
 public:
  enum class Step : uint8_t {
    kSwitch,  // from the client's response to the switch of the plugin
    kDenial,  // from the client's answer to the error
  };

  void Add(Step step, uint64_t microseconds) {
    Ring& ring = rings_[static_cast<size_t>(step)];
    ring.values[ring.added % kKept] = microseconds;
    ++ring.added;
  }

  // A timer comes late by what it takes to wake up, which the servers' own answers have in them
  // already. Waits are shortened by what timers usually are late: the median, followed in small
  // steps.
  uint64_t Shorten(uint64_t microseconds) const {
    return microseconds - std::min(microseconds, late_);
  }
  void TimerWasLate(uint64_t microseconds) {
    if (microseconds > late_) late_ = std::min(late_ + kStep, kLatest);
    if (microseconds < late_) late_ -= std::min(late_, kStep);
  }

  // One of the last 32 times in microseconds, at random, at most a second; 0 before the first.
  uint64_t Pick(Step step) {
    const Ring& ring = rings_[static_cast<size_t>(step)];
    if (ring.added == 0) return 0;
    random_ = random_ * 6364136223846793005u + 1442695040888963407u;
    uint64_t value = ring.values[(random_ >> 33) % (ring.added < kKept ? ring.added : kKept)];
    return value < kLongest ? value : kLongest;
  }

 private:
  static constexpr size_t kKept = 32;
  static constexpr uint64_t kLongest = 1000000;
  static constexpr uint64_t kStep = 2, kLatest = 500;

  struct Ring {
    std::array<uint64_t, kKept> values{};
    uint64_t added = 0;
  };
  std::array<Ring, 2> rings_;
  uint64_t late_ = 0;  // microseconds
  uint64_t random_ = 1;
};

}  // namespace rum::mysql
