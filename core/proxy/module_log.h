// Log lines of modules, limited in length and number: clients must not be able to fill the disk or
// displace rum's own lines by way of a module.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/log.h"

namespace rum {

// [any] Writes at most RUM_MOST_LOG bytes of `text` after `head`, and at most RUM_MOST_LOG_LINES
// per second for all modules. log::Dropped() counts the others, and one line reports them.
void WriteModuleLine(log::Level level, std::string head, std::string_view text);

// The decision about one line, for its second on a clock that never jumps.
class LineBudget {
 public:
  struct Verdict {
    bool pass;
    uint64_t dropped;  // in the last second with a line, if this line is the first of its second
  };
  // [any] `dropped` is reported once.
  Verdict Take(uint64_t second);

 private:
  // Bits: 32 for the second, 32 for its lines.
  static uint64_t Pack(uint64_t second, uint64_t lines) { return second << 32 | lines; }
  std::atomic<uint64_t> state_ = 0;
};

}  // namespace rum
