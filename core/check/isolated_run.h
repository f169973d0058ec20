// Runs work in a process of its own, so that a module which exits, crashes or hangs is reported as
// such and takes nothing else with it.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace rum {

// A text that the child writes and the parent reads, also after a crash. What does not fit is left
// out.
template <size_t kSize>
struct SharedText {
  std::atomic<size_t> size;
  char bytes[kSize];

  void Clear() { size = 0; }
  void Append(std::string_view text) {
    size_t at = size, n = text.size() < kSize - at ? text.size() : kSize - at;
    text.copy(bytes + at, n);
    size = at + n;
  }
  std::string Text() const { return std::string(bytes, size); }
};

// Memory that the parent and the child share; one for the process.
struct Board {
  std::atomic<bool> finished;  // the work has returned
  std::atomic<uint64_t> beat;  // of the work: the time limit counts from the last one on
  SharedText<512> place;       // what is being played, for a report
  SharedText<64 * 1024> report;
  SharedText<1024 * 1024> script;
  static constexpr size_t kCounters = 64;
  std::atomic<uint64_t> counters[kCounters];
};
Board& board();

struct RunLimits {
  uint64_t wall_millis = 0;  // since the last beat; 0: none
  uint64_t cpu_seconds = 0;  // 0: none
  uint64_t memory = 0;       // bytes of data; 0: none
  bool core_file = true;
};

struct RunEnd {
  enum class Kind : uint8_t {
    kFinished,     // the work has returned; what it found is on the board
    kExited,       // by exit() or _exit(), before the work had returned
    kSignal,       // the same by a signal
    kHung,         // a limit of time was reached
    kEndedBadly,   // the work has returned, but the process did not end well after it
    kCannotStart,  // fork() failed
  } kind;
  int number = 0;    // the status, or the signal
  std::string hook;  // that was running; empty: none
  // One sentence that names the hook and the rule of rum/module.h; empty for kFinished.
  std::string Sentence() const;
};

// [main] Clears all of the board but the counters. No thread may run.
RunEnd RunIsolated(const std::function<void()>& work, const RunLimits& limits);

}  // namespace rum
