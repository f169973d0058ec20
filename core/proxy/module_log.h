// The lines that a module writes, of bounded length and number: what a client can make a module say
// neither fills the disk nor crowds out the lines of rum.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/log.h"

namespace rum {

// [any] Writes at most RUM_MOST_LOG bytes of `text` behind `head`; of all modules' lines at most
// RUM_MOST_LOG_LINES a second. The others are counted by log::Dropped(), and told by one line.
void WriteModuleLine(log::Level level, std::string head, std::string_view text);

// The decision about one line, for its second on a clock that never jumps.
class LineBudget {
 public:
  struct Verdict {
    bool pass;
    uint64_t dropped;  // in the last second that had a line, if this one is the first of its second
  };
  // [any] `dropped` is told once.
  Verdict Take(uint64_t second);

 private:
  // Bits: 32 of the second, 32 of its lines.
  static uint64_t Pack(uint64_t second, uint64_t lines) { return second << 32 | lines; }
  std::atomic<uint64_t> state_ = 0;
};

}  // namespace rum
