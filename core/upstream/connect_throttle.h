// How many connections to each server wait to be taken by it. A server's queue of these is short
// (80 places are usual) and what does not fit is lost on the way: the client takes itself for
// connected and hears nothing for seconds. So not too many go at a time, however many clients come
// at once.
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

// [any] All of it. Servers share a counter when their names fall on the same: then they share the
// number, too.
class ConnectThrottle {
  struct Slot {
    std::atomic<uint32_t> count = 0;
    std::atomic<uint64_t> moved = 0;
  };

 public:
  static constexpr size_t kSlots = 1024;

  using Clock = uint64_t (*)();  // ms; never goes back
  explicit ConnectThrottle(Clock clock = NowMillis) : clock_(clock) {}
  ConnectThrottle(const ConnectThrottle&) = delete;

  // One connection, until the server has taken it or it is given up. The table must outlive it.
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

  // False: `most` are on their way. 0: there is no bound.
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
  // When a place was given back last.
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
