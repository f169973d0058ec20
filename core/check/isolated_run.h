// Runs work in a child process: a module that exits, crashes or hangs is reported and cannot harm
// the parent.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace rum {

// A text that the child writes and the parent reads, even after a crash. Text beyond kSize is cut.
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

// Memory that parent and child share; one per process.
struct Board {
  std::atomic<bool> finished;  // the work has returned
  std::atomic<uint64_t> beat;  // sign of progress by the work; restarts the time limits
  SharedText<512> place;       // what is being played, for a report
  SharedText<64 * 1024> report;
  SharedText<1024 * 1024> script;
  static constexpr size_t kCounters = 64;
  std::atomic<uint64_t> counters[kCounters];
};
Board& board();

struct RunLimits {
  uint64_t wall_millis = 0;  // since the last beat; 0: no limit
  uint64_t cpu_millis = 0;   // of CPU time since the last beat; 0: no limit
  uint64_t memory = 0;       // bytes of data; 0: no limit
  bool core_file = true;
};

struct RunEnd {
  enum class Kind : uint8_t {
    kFinished,     // the work has returned; its result is on the board
    kExited,       // exit() or _exit() before the work returned
    kSignal,       // a signal before the work returned
    kHung,         // a time limit expired
    kEndedBadly,   // the work returned, but the process then failed to exit cleanly
    kCannotStart,  // fork() failed
  } kind;
  int number = 0;    // exit status or signal
  std::string hook;  // the hook that was running; empty: none
  // One sentence that names the hook and the rule of rum/module.h; empty for kFinished.
  std::string Sentence() const;
};

// [main] Clears the board except for its counters. The process must have no other thread.
RunEnd RunIsolated(const std::function<void()>& work, const RunLimits& limits);

}  // namespace rum
