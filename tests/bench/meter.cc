#include "bench/meter.h"

#include <dirent.h>
#include <time.h>

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <fstream>
#include <memory>

namespace rum::bench {

uint64_t NowNanos() {
  timespec now;
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1000000000 + static_cast<uint64_t>(now.tv_nsec);
}

uint64_t CpuNanos(const std::vector<pid_t>& pids) {
  uint64_t sum = 0;
  for (pid_t pid : pids) {
    std::string tasks = "/proc/" + std::to_string(pid) + "/task";
    std::unique_ptr<DIR, int (*)(DIR*)> folder(::opendir(tasks.c_str()), ::closedir);
    while (dirent* entry = folder ? ::readdir(folder.get()) : nullptr) {
      if (entry->d_name[0] == '.') continue;
      uint64_t on_cpu = 0;
      std::ifstream(tasks + "/" + entry->d_name + "/schedstat") >> on_cpu;
      sum += on_cpu;
    }
  }
  return sum;
}

Memory MemoryOf(const std::vector<pid_t>& pids) {
  Memory memory;
  for (pid_t pid : pids) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/smaps_rollup");
    for (std::string line; std::getline(file, line);) {
      uint64_t kilobytes;
      char name[32];
      if (std::sscanf(line.c_str(), "%31[^:]: %" SCNu64, name, &kilobytes) != 2) continue;
      std::string field = name;
      if (field == "Rss") memory.rss += kilobytes * 1024;
      if (field == "Pss") memory.pss += kilobytes * 1024;
      if (field.starts_with("Private_")) memory.own += kilobytes * 1024;
    }
  }
  return memory;
}

Report::Report(const std::string& what) : line_("{\"what\":\"" + what + "\"") {}

void Report::Add(const char* name, double value, int digits) {
  char text[64];
  std::snprintf(text, sizeof text, ",\"%s\":%.*f", name, digits, value);
  line_ += text;
}

void Report::Add(const char* name, const std::string& text) {
  std::string safe;
  for (char c : text) safe += c < ' ' || c == '"' || c == '\\' ? ' ' : c;
  line_ += std::string(",\"") + name + "\":\"" + safe + "\"";
}

void Report::Print() const { std::printf("%s}\n", line_.c_str()); }

Window::Window(const Options& options)
    : options_(options), open_at_(NowNanos() + static_cast<uint64_t>(options.warm * 1e9)) {
  latencies_.reserve(1 << 20);
  if (options.operations) Open(NowNanos());
}

bool Window::MayStart() {
  if (phase_ == Phase::kOver) return false;
  if (options_.operations && started_ >= options_.operations) return false;
  ++started_;
  return true;
}

void Window::Completed(uint64_t began) {
  uint64_t now = NowNanos();
  Look(now);
  if (phase_ != Phase::kMeasured) return;
  ++amount_;
  latencies_.push_back(static_cast<uint32_t>(std::min<uint64_t>(now - began, UINT32_MAX)));
  if (options_.operations && amount_ + failures_ >= options_.operations) Close(now);
}

void Window::Moved(uint64_t bytes) {
  Look(NowNanos());
  if (phase_ == Phase::kMeasured) amount_ += bytes;
}

void Window::Failed(const std::string& why) {
  if (phase_ == Phase::kOver) return;
  if (failures_++ == 0) first_failure_ = why;
  // Beyond a thousand it will not get better.
  bool all = options_.operations && amount_ + failures_ >= options_.operations;
  if (all || failures_ >= 1000) Close(NowNanos());
}

bool Window::Over() {
  Look(NowNanos());
  return phase_ == Phase::kOver;
}

void Window::Look(uint64_t now) {
  if (options_.operations) return;
  if (phase_ == Phase::kWarm && now >= open_at_) Open(now);
  if (phase_ == Phase::kMeasured && now >= begin_ + static_cast<uint64_t>(options_.seconds * 1e9)) {
    Close(now);
  }
}

void Window::Open(uint64_t now) {
  phase_ = Phase::kMeasured;
  begin_ = now;
  cpu_begin_ = CpuNanos(options_.pids);
}

void Window::Close(uint64_t now) {
  phase_ = Phase::kOver;
  if (!begin_) begin_ = now;
  end_ = now;
  cpu_end_ = cpu_begin_ ? CpuNanos(options_.pids) : 0;
}

void Window::Describe(Report& report) {
  double operations = static_cast<double>(amount_);
  report.Add("connections", options_.connections);
  report.Add("operations", operations);
  report.Add("seconds", seconds(), 4);
  report.Add("rate", seconds() > 0 ? operations / seconds() : 0, 1);
  if (!options_.pids.empty()) {
    report.Add("cpu_seconds", cpu_seconds(), 6);
    report.Add("cpu_us", amount_ ? cpu_seconds() * 1e6 / operations : 0, 3);
  }
  auto quantile = [&](double share) {
    if (latencies_.empty()) return 0.0;
    auto at = latencies_.begin() +
              static_cast<ptrdiff_t>(share * static_cast<double>(latencies_.size() - 1));
    std::nth_element(latencies_.begin(), at, latencies_.end());
    return *at / 1e3;
  };
  if (!latencies_.empty()) {
    report.Add("p50_us", quantile(0.5), 1);
    report.Add("p99_us", quantile(0.99), 1);
  }
  report.Add("failures", static_cast<double>(failures_));
  if (failures_) report.Add("first_failure", first_failure_);
}

}  // namespace rum::bench
