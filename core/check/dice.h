// Random choices that are the same for a seed on every system: the distributions of <random> differ
// between libraries.
#pragma once

#include <cstdint>
#include <random>

namespace rum {

class Dice {
 public:
  explicit Dice(uint64_t seed) : engine_(seed) {}
  uint64_t Number() { return engine_(); }
  size_t Below(size_t n) { return static_cast<size_t>(engine_() % n); }  // n > 0
  bool OneIn(size_t n) { return Below(n) == 0; }
  template <class List>
  auto& Of(List& list) {
    return list[Below(std::size(list))];
  }

 private:
  std::mt19937_64 engine_;
};

}  // namespace rum
