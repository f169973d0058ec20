#include "pgsql/own_errors.h"

#include <rum/module.h>

namespace rum::pgsql {
namespace {

constexpr char kCannotConnectNow[] = "57P03";
constexpr char kTooMany[] = "53300";
constexpr char kConnectionFailure[] = "08006";

struct ReasonRow {
  uint32_t reason;
  const char* sqlstate;
  const char* text;
};
constexpr char kUnreachable[] = "the database server cannot be reached at the moment";
constexpr char kSilent[] = "the database server does not answer";
constexpr char kBroken[] = "the database server ended the connection during the login";
constexpr ReasonRow kReasons[] = {
    {RUM_CLOSE_LOGIN_TIMEOUT, kConnectionFailure, "the login took too long"},
    {RUM_CLOSE_CONNECT_TIMEOUT, kCannotConnectNow, kSilent},
    {RUM_CLOSE_FIRST_BYTE_TIMEOUT, kCannotConnectNow, kSilent},
    {RUM_CLOSE_CONNECT_REFUSED, kCannotConnectNow, kUnreachable},
    {RUM_CLOSE_CONNECT_FAILED, kCannotConnectNow, kUnreachable},
    {RUM_CLOSE_UNRESOLVED, kCannotConnectNow, kUnreachable},
    {RUM_CLOSE_UPSTREAM_GONE, kCannotConnectNow, kBroken},
    {RUM_CLOSE_UPSTREAM_RESET, kCannotConnectNow, kBroken},
    {RUM_CLOSE_UPSTREAM_PROTOCOL, "08P01",
     "the database server gave an answer that is not understood"},
    {RUM_CLOSE_TLS, kCannotConnectNow,
     "the database server cannot be reached by TLS, or is not the right one"},
    {RUM_CLOSE_BAD_DESTINATION, kCannotConnectNow,
     "this login is set up wrong: its database server is not known"},
    {RUM_CLOSE_MAP_UNAVAILABLE, kCannotConnectNow,
     "logins are not possible at the moment: the list of users is not available"},
    {RUM_CLOSE_MAINTENANCE, kCannotConnectNow,
     "the database server is out of service for maintenance"},
    {RUM_CLOSE_DRAIN, kCannotConnectNow, "the proxy is shutting down"},
    {RUM_CLOSE_LIMIT, kTooMany, "too many connections"},
    {RUM_CLOSE_NO_RESOURCES, kTooMany, "too many connections"},
    {RUM_CLOSE_KILLED, "57P01", "terminating connection due to administrator command"},
    {RUM_CLOSE_BLOCKED, "28000",
     "your address is blocked for a while because of too many failed logins"},
    {RUM_CLOSE_NOT_ALLOWED, "28000", "your address is not allowed to connect"},
};

struct VerdictRow {
  int32_t verdict;
  uint32_t reason;
  const char* text;
};
constexpr VerdictRow kVerdicts[] = {
    {RUM_REFUSED_RULES, RUM_CLOSE_DENIED, "the rules of the user cannot be read"},
    {RUM_REFUSED_DISABLED, RUM_CLOSE_DENIED, "the user is disabled"},
    {RUM_REFUSED_TIME, RUM_CLOSE_DENIED, "the user may not log in at this time"},
    {RUM_REFUSED_ADDRESS, RUM_CLOSE_DENIED, "the user may not log in from this address"},
    {RUM_REFUSED_TLS, RUM_CLOSE_DENIED, "the user may log in by TLS only"},
    {RUM_REFUSED_CONNECTIONS, RUM_CLOSE_LIMIT, "the user has too many connections"},
    {RUM_REFUSED_RATE, RUM_CLOSE_LIMIT, "the user logs in too often"},
    {RUM_REFUSED_BLOCKED, RUM_CLOSE_BLOCKED, "too many logins have failed from the address"},
};

const VerdictRow& RowOf(int32_t verdict) {
  for (const VerdictRow& row : kVerdicts) {
    if (row.verdict == verdict) return row;
  }
  static constexpr VerdictRow kOther{0, RUM_CLOSE_DENIED, "rum refused the user"};
  return kOther;
}

std::string Quoted(std::string_view name) { return "\"" + std::string(name) + "\""; }

}  // namespace

OwnError ErrorForReason(uint32_t reason) {
  for (const ReasonRow& row : kReasons) {
    if (row.reason == reason) return {row.sqlstate, row.text};
  }
  return {"XX000", "the proxy failed during the login"};
}

bool LooksLikeAWrongPassword(int32_t verdict) { return RowOf(verdict).reason == RUM_CLOSE_DENIED; }

OwnError ErrorForVerdict(int32_t verdict, std::string_view user) {
  if (verdict == RUM_REFUSED_CONNECTIONS) {
    return {kTooMany, "too many connections for role " + Quoted(user)};
  }
  if (verdict == RUM_REFUSED_RATE) return {kTooMany, "too many logins of role " + Quoted(user)};
  return ErrorForReason(ReasonForVerdict(verdict));
}

uint32_t ReasonForVerdict(int32_t verdict) { return RowOf(verdict).reason; }

std::string_view TextForVerdict(int32_t verdict) { return RowOf(verdict).text; }

OwnError UserDisabled(std::string_view text) { return {kCannotConnectNow, std::string(text)}; }

OwnError WrongPassword(std::string_view user) {
  return {"28P01", "password authentication failed for user " + Quoted(user)};
}

OwnError NoEntry(std::string_view user, std::string_view database) {
  return {"28000", "the server does not admit user " + Quoted(user) + " to database " +
                       Quoted(database) + " through this proxy"};
}

}  // namespace rum::pgsql
