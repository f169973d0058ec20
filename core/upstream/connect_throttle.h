// Limits how many connections wait for each server's accept(). A server's accept queue is short (80
// is common); a connection that overflows it is dropped silently: rum considers it established and
// receives nothing for seconds.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string_view>
#include <utility>

#include "base/clock.h"

namespace rum {

// [any] Servers whose names hash to the same slot share a counter and its limit.
class ConnectThrottle {
  struct Slot {
    std::atomic<uint32_t> count = 0;
    std::atomic<uint64_t> moved = 0;
  };

 public:
  static constexpr size_t kSlots = 1024;

  using Clock = uint64_t (*)();  // ms; monotonic
  explicit ConnectThrottle(Clock clock = NowMillis) : clock_(clock) {}
  ConnectThrottle(const ConnectThrottle&) = delete;

  // One connection attempt, until the server accepts it or it is abandoned. The table must outlive
  // it.
  class Lease {
   public:
    Lease() = default;
    Lease(const Lease&) = delete;
    ~Lease() { Release(); }
    void Release() {
      Slot* slot = std::exchange(slot_, nullptr);
      if (slot == nullptr) return;
      slot->moved.store(clock_(), std::memory_order_relaxed);
      slot->count.fetch_sub(1, std::memory_order_relaxed);
    }

   private:
    friend class ConnectThrottle;
    Slot* slot_ = nullptr;
    Clock clock_ = nullptr;
  };

  // Returns false if `most` attempts are pending. 0: unlimited.
  bool Take(std::string_view server, uint32_t most, Lease* lease) {
    lease->Release();
    Slot& slot = SlotOf(server);
    if (slot.count.fetch_add(1, std::memory_order_relaxed) >= most && most != 0) {
      slot.count.fetch_sub(1, std::memory_order_relaxed);
      return false;
    }
    lease->slot_ = &slot;
    lease->clock_ = clock_;
    return true;
  }
  // When a lease was last released.
  uint64_t Moved(std::string_view server) {
    return SlotOf(server).moved.load(std::memory_order_relaxed);
  }

 private:
  Slot& SlotOf(std::string_view server) {
    return slots_[std::hash<std::string_view>()(server) % kSlots];
  }

  const Clock clock_;
  std::array<Slot, kSlots> slots_;
};

}  // namespace rum
