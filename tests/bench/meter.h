// What a run has cost: CPU nanoseconds and memory of the proxy, and latencies seen by the clients.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "bench/options.h"

namespace rum::bench {

uint64_t NowNanos();

// CPU time of all threads of the processes, by the scheduler's own count. A thread that is running
// at this moment may lack up to a tick (1 to 4 ms): windows are longer than that by far.
uint64_t CpuNanos(const std::vector<pid_t>& pids);

struct Memory {
  uint64_t rss = 0, pss = 0, own = 0;  // bytes; own: private pages, clean and dirty
};
Memory MemoryOf(const std::vector<pid_t>& pids);

// One line of JSON, field by field.
class Report {
 public:
  explicit Report(const std::string& what);
  void Add(const char* name, double value, int digits = 0);
  void Add(const char* name, const std::string& text);
  void Print() const;

 private:
  std::string line_;
};

// Counts operations in a window of time, or a given number of them.
class Window {
 public:
  explicit Window(const Options& options);

  // Takes one of the operations that may still begin.
  bool MayStart();
  // An operation that began at `began` (nanoseconds) is complete.
  void Completed(uint64_t began);
  // Bytes have come, where they are what is counted.
  void Moved(uint64_t bytes);
  void Failed(const std::string& why);
  // To be called now and then, so that a load that stands still ends, too.
  bool Over();

  uint64_t amount() const { return amount_; }  // operations, or bytes
  uint64_t failures() const { return failures_; }
  double cpu_seconds() const { return static_cast<double>(cpu_end_ - cpu_begin_) / 1e9; }
  double seconds() const { return static_cast<double>(end_ - begin_) / 1e9; }
  // operations, seconds, rate, CPU, latencies, failures
  void Describe(Report& report);

 private:
  enum class Phase { kWarm, kMeasured, kOver };
  void Look(uint64_t now);
  void Open(uint64_t now);
  void Close(uint64_t now);

  const Options& options_;
  Phase phase_ = Phase::kWarm;
  uint64_t open_at_;
  uint64_t begin_ = 0, end_ = 0, cpu_begin_ = 0, cpu_end_ = 0;
  uint64_t started_ = 0, amount_ = 0, failures_ = 0;
  std::string first_failure_;
  std::vector<uint32_t> latencies_;  // nanoseconds; longer than 4.2 s counts as that
};

}  // namespace rum::bench
