// What other processes count (--share): sessions by user and by client address, and the addresses
// that they block. Written by the exchange with them, read by admission; without --share it is
// empty.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "base/cidr.h"
#include "base/clock.h"
#include "base/keyed_hash.h"
#include "base/rate.h"

namespace rum {

// Keys with their sessions, most first.
using KeySessions = std::vector<std::pair<std::string, uint32_t>>;

// [any]
class OtherNodes {
 public:
  // Of one moment; nobody changes it once it is in use. Addresses are networks in text form.
  struct Counts {
    std::unordered_map<std::string, uint32_t, NameHash, std::equal_to<>> users, addresses;
    std::unordered_set<std::string, NameHash, std::equal_to<>> blocked;
    uint64_t sessions = 0;  // of all users
    size_t charges = 0;     // keys whose rates others have charged
    size_t nodes = 0;
    uint64_t expires = 0;  // monotonic ms
  };
  // What the exchange wants to know; called on any thread, without a lock held.
  struct Events {
    std::function<void()> near_limit;  // once until Listen(): a count is near its limit
    std::function<void(std::string address, Millis time)> blocked;  // here
    std::function<void(std::string address)> unblocked;             // here, by an operator
  };
  using Clock = uint64_t (*)();  // milliseconds; monotonic
  explicit OtherNodes(Clock clock = NowMillis) : clock_(clock) {}

  // [main] Before the workers start; without it, nothing is shared.
  void Share(Events events);
  bool shared() const { return shared_; }

  void Use(std::shared_ptr<const Counts> counts);
  // nullptr: nothing is known, or it is too old.
  std::shared_ptr<const Counts> counts() const;

  uint32_t SessionsOfUser(std::string_view user) const;
  uint32_t SessionsOfAddress(const Cidr& address) const;
  bool Blocks(const Cidr& address) const;

  // `sessions`: here and elsewhere. From half of a limit on, the next exchange should come early.
  void Note(uint64_t sessions, uint32_t limit);
  // As Note(), of the logins that are left of a rate here.
  void NoteRate(Rate rate, uint32_t left);
  void NoteBlock(const Cidr& address, Millis time);
  void NoteUnblock(const Cidr& address);
  void Listen() { noted_ = false; }

 private:
  const Clock clock_;
  bool shared_ = false;
  Events events_;
  std::atomic<bool> noted_ = false;
  mutable std::mutex mutex_;  // guards counts_
  std::shared_ptr<const Counts> counts_;
};

}  // namespace rum
