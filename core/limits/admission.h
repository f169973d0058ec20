// Whether a user may log in here and now: the rules of the record, the limits of the user, and
// whether the address is blocked. One for all workers; what is counted outlives a reload.
#pragma once

#include <cstdint>
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

  // [any] `record` is the value of the user's record; empty: the map does not know the user. The
  // place is taken when the answer is RUM_OK; what it held before is given back first.
  int32_t Admit(const Settings& settings, const Visitor& visitor, std::string_view record,
                UserLimits::Place* place);

  // [any] The same for a session that is in and wants to go on as this user. A refusal takes
  // nothing from it. What it held goes to `former`, until it is known what becomes of the change;
  // asked for that user again it is what it was, whatever the rules and limits. Who stays the same
  // user is counted already, and pays no rate.
  int32_t Change(const Settings& settings, const Visitor& visitor, std::string_view record,
                 UserLimits::Place* place, UserLimits::Place* former);

  UserLimits& users() { return users_; }
  LoginGuard& guard() { return guard_; }
  const UserLimits& users() const { return users_; }
  const LoginGuard& guard() const { return guard_; }

 private:
  // All but the counting; `limit` is that of the settings, or what the record says.
  int32_t Judge(const Settings& settings, const Visitor& visitor, std::string_view record,
                UserLimit* limit) const;
  int32_t Take(std::string_view user, const UserLimit& limit, UserLimits::Place* place);

  UserLimits users_;
  LoginGuard guard_;
};

}  // namespace rum
