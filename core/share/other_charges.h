// What other processes have charged to rates between two readings: a process is charged here with
// what its numbers have grown by. Pure.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <unordered_map>

#include "share/count_pages.h"

namespace rum {

class OtherCharges {
 public:
  // Between this and Finish(), a reading. `now`: monotonic microseconds.
  void Begin(uint64_t now);
  // Where to add the pages of a process.
  ChargeTables& Of(const std::string& node) { return reading_[node].tables; }

  // Others have charged so much time to a key, at `since` or later.
  using Growth =
      std::function<void(RateKind kind, const std::string& key, uint64_t micros, uint64_t since)>;
  // A process that was not in the former reading has no growth, and none has if that reading is
  // older than `most`: what it was then, nobody knows.
  void Finish(uint64_t most, const Growth& growth);

 private:
  struct Node {
    ChargeTables tables;
    std::array<uint64_t, kRateKinds> last{};  // the latest span of each table
  };
  using Nodes = std::unordered_map<std::string, Node>;

  Nodes former_, reading_;
  uint64_t former_at_ = 0, reading_at_ = 0;
};

}  // namespace rum
