// How long servers took lately for the steps of a login: a client that rum refuses itself waits as
// long, so that the time does not tell which users exist. Pure; one for each worker.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

namespace rum::pgsql {

class Pace {
 public:
  enum Step : uint8_t {
    kRequest,  // from the Startup to the server's request for a proof
    kDenial,   // from a wrong proof to the error
  };

  void Add(Step step, uint64_t micros) {
    Ring& ring = rings_[step];
    ring.kept[ring.next++ % kKept] = std::min(micros, kMost);
    ring.size = std::min(ring.size + 1, kKept);
  }
  // The next of the stored times, in turn; 0: none is stored yet.
  uint64_t Pick(Step step) {
    Ring& ring = rings_[step];
    return ring.size == 0 ? 0 : ring.kept[ring.picked++ % ring.size];
  }

 private:
  static constexpr size_t kKept = 31;           // of each step
  static constexpr uint64_t kMost = 2'000'000;  // microseconds

  struct Ring {
    std::array<uint64_t, kKept> kept{};
    size_t size = 0, next = 0, picked = 0;
  };
  std::array<Ring, 2> rings_;
};

}  // namespace rum::pgsql
