// A number that one thread writes and any thread reads, without a locked instruction.
#pragma once

#include <atomic>
#include <cstdint>

namespace rum {

class Counter {
 public:
  // [worker]
  void Add(uint64_t delta) {
    value_.store(value_.load(std::memory_order_relaxed) + delta, std::memory_order_relaxed);
  }
  void Sub(uint64_t delta) { Add(0 - delta); }
  // [any]
  uint64_t get() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> value_ = 0;
};

}  // namespace rum
