#include "mysql/admission.h"

#include <rum/module.h>

#include "mysql/own_errors.h"

namespace rum::mysql {
namespace {

struct VerdictRow {
  int32_t verdict;
  uint32_t reason;
  const char* text;
};
constexpr VerdictRow kVerdicts[] = {
    {RUM_REFUSED_RULES, RUM_CLOSE_DENIED, "the rules of the user's record cannot be read"},
    {RUM_REFUSED_DISABLED, RUM_CLOSE_DENIED, "the user is disabled"},
    {RUM_REFUSED_TIME, RUM_CLOSE_DENIED, "the user may not log in at this time"},
    {RUM_REFUSED_ADDRESS, RUM_CLOSE_DENIED, "the user may not log in from this address"},
    {RUM_REFUSED_TLS, RUM_CLOSE_DENIED, "the user must use TLS"},
    {RUM_REFUSED_CONNECTIONS, RUM_CLOSE_LIMIT, "the user has as many connections as allowed"},
    {RUM_REFUSED_RATE, RUM_CLOSE_LIMIT, "the user logs in too often"},
    {RUM_REFUSED_BLOCKED, RUM_CLOSE_BLOCKED, "the address was blocked during the login"},
};

// Errors, and answers added by a later rum, do not admit either.
constexpr VerdictRow kOther = {0, RUM_CLOSE_DENIED, "rum refuses the user"};

const VerdictRow& RowOf(int32_t verdict) {
  for (const VerdictRow& row : kVerdicts) {
    if (row.verdict == verdict) return row;
  }
  return kOther;
}

}  // namespace

bool LooksLikeAWrongPassword(int32_t verdict) { return RowOf(verdict).reason == RUM_CLOSE_DENIED; }

ServerError ErrorForVerdict(int32_t verdict, std::string_view user) {
  if (verdict == RUM_REFUSED_CONNECTIONS) return UserLimitReached(user, "max_user_connections");
  if (verdict == RUM_REFUSED_RATE) return UserLimitReached(user, "login_rate");
  return ErrorForReason(ReasonForVerdict(verdict));
}

uint32_t ReasonForVerdict(int32_t verdict) { return RowOf(verdict).reason; }

std::string_view TextForVerdict(int32_t verdict) { return RowOf(verdict).text; }

}  // namespace rum::mysql
