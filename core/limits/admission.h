// Whether a user may log in here and now: the rules of the record, the limits of the user, and
// whether the address is blocked. Only a login that is proved counts for its user. One for all
// workers; what is counted outlives a reload.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/address.h"
#include "limits/login_guard.h"
#include "limits/user_limits.h"
#include "map/map_rules.h"

namespace rum {

// Who asks to be let in.
struct Visitor {
  std::string_view user;
  const SocketAddress& address;
  bool safe_way;  // TLS, or a unix socket
};

// The rules that need no counting, the first that is broken. RUM_OK or RUM_REFUSED_...
int32_t JudgeRules(const MapRules& rules, const Visitor& visitor, int64_t now_seconds);

class Admission {
 public:
  struct Settings {
    UserLimit limit;  // for users whose record says nothing
    LoginGuard::Settings guard;
  };

  // One who was admitted and has not proved yet to be the user. Strangers can be that, too: it
  // takes none of the user's places and nothing of the rate. From one address, though, no more are
  // candidates than the user has places and logins left, so that servers are spared the rest.
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

  explicit Admission(LoginGuard::Wake wake = nullptr) : guard_(NowMicros, wake) {}

  // [any] `record` is the value of the user's record; empty: the map does not know the user. With
  // RUM_OK there is a candidate; the one before is dropped first. `held` is the place of a session
  // that is in and wants to go on as this user: who stays the same user counts already, and pays no
  // rate.
  int32_t Admit(const Settings& settings, const Visitor& visitor, std::string_view record,
                const UserLimits::Lease& held, Candidate* candidate);

  // [any] The candidate has proved to be the user, and counts from here on; `lease` gives back what
  // it held before. RUM_OK, or RUM_REFUSED_CONNECTIONS or _RATE: others were faster. There is no
  // candidate any more.
  int32_t Confirm(Candidate* candidate, UserLimits::Lease* lease);

  UserLimits& users() { return users_; }
  LoginGuard& guard() { return guard_; }
  const UserLimits& users() const { return users_; }
  const LoginGuard& guard() const { return guard_; }

 private:
  // All but the counting; `limit` is that of the settings, or what the record says.
  int32_t Judge(const Settings& settings, const Visitor& visitor, std::string_view record,
                UserLimit* limit) const;

  UserLimits users_;
  NamedLimiter trying_;  // candidates, by user and address
  LoginGuard guard_;
};

}  // namespace rum
