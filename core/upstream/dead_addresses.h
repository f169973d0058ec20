// Remembers which addresses of multi-address names recently accepted no connections, so that not
// every client waits for them. Empty, at no cost, while all addresses respond.
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

// [any] An address includes its port.
class DeadAddresses {
 public:
  static constexpr size_t kMost = 4096;  // further failures are not remembered
  // ms for which an address is moved behind the others; doubles with each further failure.
  static constexpr uint64_t kFirstPause = 10000, kLongestPause = 300000;
  // Afterwards one client tries it in its normal position. For other clients it stays behind until
  // that result is known, at most this long (ms).
  static constexpr uint64_t kTrial = 60000;

  using Clock = uint64_t (*)();  // ms; monotonic
  explicit DeadAddresses(Clock clock = NowMillis) : clock_(clock) {}
  DeadAddresses(const DeadAddresses&) = delete;

  void Failed(const SocketAddress& address);
  void Succeeded(const SocketAddress& address);
  // Moves failed addresses behind the others; otherwise keeps the order.
  void Sort(std::vector<SocketAddress>* addresses);
  size_t size() const { return size_.load(std::memory_order_relaxed); }

 private:
  struct Entry {
    uint64_t pause = 0;
    uint64_t until = 0;  // end of the pause or the trial
    bool trial = false;  // the trial after the pause is in progress
  };

  void Tidy(uint64_t now);

  const Clock clock_;
  std::atomic<size_t> size_ = 0;  // size of entries_
  std::mutex mutex_;              // guards entries_
  std::map<std::string, Entry> entries_;
  size_t tidy_at_ = 64;
};

}  // namespace rum
