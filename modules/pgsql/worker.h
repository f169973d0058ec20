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

  // Whether servers lately offered channel binding to clients with TLS: unknown names get the same
  // offer.
  void RememberOffer(bool plus) { offers_plus_ = plus; }
  bool offers_plus() const { return offers_plus_; }

  // A cancel request of one address, until it is destroyed.
  class Turn {
   public:
    Turn(Worker& worker, std::string address)
        : worker_(worker), address_(std::move(address)), joined_(worker_.Join(address_)) {}
    ~Turn() {
      if (joined_) worker_.Leave(address_, taken_);
    }
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;
    // False: the limit of waiting requests is reached.
    bool joined() const { return joined_; }
    // False: the limit of concurrent requests is reached.
    bool Take() { return taken_ = taken_ || (joined_ && worker_.Enter(address_)); }

   private:
    Worker& worker_;
    const std::string address_;
    const bool joined_;
    bool taken_ = false;
  };

 private:
  // A request occupies a server connection for a moment. Waiting ones cost the worker time.
  static constexpr size_t kCancelsMost = 16;
  static constexpr size_t kWaitMost = 112;

  struct Cancels {
    size_t all = 0, under_way = 0;
  };

  bool Join(const std::string& address) {
    Cancels& of = cancels_[address];
    if (of.all == kCancelsMost + kWaitMost) return false;
    ++of.all;
    return true;
  }
  bool Enter(const std::string& address) {
    Cancels& of = cancels_[address];
    if (of.under_way == kCancelsMost) return false;
    ++of.under_way;
    return true;
  }
  void Leave(const std::string& address, bool was_under_way) {
    auto found = cancels_.find(address);
    if (was_under_way) --found->second.under_way;
    if (--found->second.all == 0) cancels_.erase(found);
  }

  Pace pace_;
  bool offers_plus_ = true;
  std::unordered_map<std::string, Cancels> cancels_;  // of addresses that have some
};

}  // namespace rum::pgsql
