// Which addresses of names with several took no connection of late, so that not each client waits
// for them. Empty, and free, while all of them answer.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/clock.h"

namespace rum {

// [any] All of it. An address counts with its port.
class DeadAddresses {
 public:
  static constexpr size_t kMost = 4096;  // what fails beyond is not remembered
  // How long (ms) one is tried behind the others: twice as long each time it fails again.
  static constexpr uint64_t kFirstPause = 10000, kLongestPause = 300000;
  // After that one client tries it at its place; others do only when it is known what came of it.
  static constexpr uint64_t kTrial = 60000;

  using Clock = uint64_t (*)();  // ms; never goes back
  explicit DeadAddresses(Clock clock = NowMillis) : clock_(clock) {}
  DeadAddresses(const DeadAddresses&) = delete;

  void Failed(const SocketAddress& address);
  void Succeeded(const SocketAddress& address);
  // Puts those that failed behind the others; else the order stays.
  void Sort(std::vector<SocketAddress>* addresses);
  size_t size() const { return size_.load(std::memory_order_relaxed); }

 private:
  struct Entry {
    uint64_t pause = 0;
    uint64_t until = 0;  // the end of the pause, or of the trial
    bool trial = false;  // the client that follows the pause is on its way
  };

  void Tidy(uint64_t now);

  const Clock clock_;
  std::atomic<size_t> size_ = 0;  // of entries_
  std::mutex mutex_;              // guards what follows
  std::map<std::string, Entry> entries_;
  size_t tidy_at_ = 64;
};

}  // namespace rum
