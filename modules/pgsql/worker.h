// What the sessions of one worker thread share: how many cancel requests of each address are under
// way, and how long servers take.
#pragma once

#include <cstddef>
#include <string>
#include <unordered_map>

#include "pgsql/pace.h"

namespace rum::pgsql {

// [worker], all of it.
class Worker {
 public:
  Pace& pace() { return pace_; }

  // A cancel request of one address, until it is destroyed.
  class Turn {
   public:
    Turn(Worker& worker, std::string address) : worker_(worker), address_(std::move(address)) {}
    ~Turn() {
      if (taken_) worker_.Leave(address_);
    }
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;
    // False: as many as may are under way.
    bool Take() { return taken_ = taken_ || worker_.Enter(address_); }

   private:
    Worker& worker_;
    const std::string address_;
    bool taken_ = false;
  };

 private:
  // Each takes a connection of a server, for a moment.
  static constexpr size_t kCancelsMost = 16;

  bool Enter(const std::string& address) {
    size_t& count = cancels_[address];
    if (count == kCancelsMost) return false;
    ++count;
    return true;
  }
  void Leave(const std::string& address) {
    auto found = cancels_.find(address);
    if (--found->second == 0) cancels_.erase(found);
  }

  Pace pace_;
  std::unordered_map<std::string, size_t> cancels_;  // of addresses that have some
};

}  // namespace rum::pgsql
