// Clients that are refused, and that the module leads to a last word in a session of their own
// (refused_open of rum/module.h): how many there are, for none may cost much.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <mutex>

#include "base/clock.h"
#include "base/rate.h"
#include "rum/module.h"

namespace rum {

class RefusedClients {
 public:
  // [any] `spare`: descriptors that no accepted client needs.
  void set_spare(uint64_t spare) {
    most_.store(static_cast<uint32_t>(std::min<uint64_t>(spare / kShare, RUM_MOST_REFUSED)),
                std::memory_order_relaxed);
  }
  // [any] False: there are as many already, or as many began within a second.
  bool Take() {
    if (now_.fetch_add(1, std::memory_order_relaxed) < most_.load(std::memory_order_relaxed)) {
      std::lock_guard lock(mutex_);
      if (bucket_.Take({RUM_MOST_REFUSED, Millis(1000)}, NowMicros())) return true;
    }
    GiveBack();
    return false;
  }
  void GiveBack() { now_.fetch_sub(1, std::memory_order_relaxed); }
  uint32_t now() const { return now_.load(std::memory_order_relaxed); }

 private:
  static constexpr uint64_t kShare = 4;  // pipes have the half
  std::atomic<uint32_t> most_ = RUM_MOST_REFUSED, now_ = 0;
  std::mutex mutex_;  // guards bucket_
  Bucket bucket_;     // a flood costs no more TLS handshakes than this
};

}  // namespace rum
