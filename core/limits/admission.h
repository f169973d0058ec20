// Decides whether a user may log in: the rules of the record, the limits of the user, and blocked
// addresses. Only a proven login counts for its user. One object for all workers; its counts
// survive a reload.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/address.h"
#include "limits/login_guard.h"
#include "limits/other_nodes.h"
#include "limits/user_limits.h"
#include "map/map_rules.h"

namespace rum {

class GeoDatabase;

// A client that tries to log in.
struct Visitor {
  std::string_view user;
  const SocketAddress& address;
  bool safe_way;                     // uses TLS or a unix socket
  const GeoDatabase* geo = nullptr;  // nullptr: no --geo-db
};

// Checks the rules that need no counters. Returns RUM_OK or RUM_REFUSED_... of the first broken
// rule.
int32_t JudgeRules(const MapRules& rules, const Visitor& visitor, int64_t now_seconds);

class Admission {
 public:
  struct Settings {
    UserLimit limit;  // default for users whose record has no limit
    LoginGuard::Settings guard;
  };

  // An admitted login that has not yet proven to be the user; it may be an attacker, so it takes no
  // lease or rate of the user. To protect servers, one address has no more candidates for a user
  // than the user has connections and logins left.
  class Candidate {
   public:
    explicit operator bool() const { return pending_; }
    void Drop() {
      pending_ = false;
      trying_.Release();
    }

   private:
    friend class Admission;
    bool pending_ = false;
    std::string user_;
    UserLimit limit_;
    NamedLimiter::Lease trying_;
  };

  // `others` must live longer; nullptr: there are none.
  explicit Admission(LoginGuard::Wake wake = nullptr, OtherNodes* others = nullptr)
      : others_(others), guard_(NowMicros, wake, others) {}

  // [any] `record`: the value of the user's record; empty: the user is not in the map. With RUM_OK,
  // `candidate` is filled; its previous content is dropped first. `held`: the lease of an
  // established session that logs in again. If it stays the same user, it is already counted and
  // not charged a rate.
  int32_t Admit(const Settings& settings, const Visitor& visitor, std::string_view record,
                const UserLimits::Lease& held, Candidate* candidate);

  // [any] The candidate has proven to be the user and is counted now; `lease` first releases what
  // it held. Returns RUM_OK, or RUM_REFUSED_CONNECTIONS or _RATE if other logins used up the limit
  // meanwhile. The candidate is empty afterwards.
  int32_t Confirm(Candidate* candidate, UserLimits::Lease* lease);

  UserLimits& users() { return users_; }
  LoginGuard& guard() { return guard_; }
  const UserLimits& users() const { return users_; }
  const LoginGuard& guard() const { return guard_; }

 private:
  // All checks that need no counters; `limit` receives the limit of the record or of the settings.
  int32_t Judge(const Settings& settings, const Visitor& visitor, std::string_view record,
                UserLimit* limit) const;
  // Adds the user's sessions in other processes to `limit`.
  void CountOthers(std::string_view user, UserLimit* limit) const;

  OtherNodes* const others_;
  UserLimits users_;
  NamedLimiter trying_;  // candidates, keyed by user and address
  LoginGuard guard_;
};

}  // namespace rum
