// The ends of a login: the errors of refused clients, and of sessions that end for other reasons.
#include <utility>

#include "pgsql/session.h"

namespace rum::pgsql {

using dialogue::Reason;

bool Session::Refuse(const OwnError& error, uint32_t reason, std::string_view log_text) {
  if (!std::exchange(reported_, true)) d_.client.Send(BuildError(error.sqlstate, error.text));
  return Close(reason, log_text);
}

bool Session::RefuseFor(uint32_t reason, std::string_view log_text) {
  return Refuse(ErrorForReason(reason), reason, log_text);
}

bool Session::RefuseByVerdict(int32_t verdict) {
  return Refuse(ErrorForVerdict(verdict, startup_.user), ReasonForVerdict(verdict),
                TextForVerdict(verdict));
}

bool Session::RefuseServer(std::string_view log_text) {
  d_.Count(kServerFaults);
  return RefuseFor(RUM_CLOSE_UPSTREAM_PROTOCOL, log_text);
}

bool Session::RefuseClient(std::string_view log_text) {
  d_.Count(kClientFaults);
  return Refuse({"08P01", std::string(log_text)}, RUM_CLOSE_CLIENT_PROTOCOL, log_text);
}

bool Session::RefuseRequest(std::string_view code) {
  d_.Count(kClientFaults);
  reported_ = false;
  return Refuse({"0A000", "unsupported frontend protocol " + std::string(code)},
                RUM_CLOSE_CLIENT_PROTOCOL, "the client asks for encryption twice");
}

// Passes the server's error on. Errors about a wrong password, and those that name rum's address
// and the encryption of rum's link, are replaced.
bool Session::PassError(const Message& message) {
  std::optional<ServerError> error = ParseError(message.body());
  if (!error) return RefuseServer("the server's error is malformed");
  d_.Count(kServerDenials);
  d_.Note("error", error->sqlstate.substr(0, 5));
  // PgBouncer reports a wrong password as 08P01.
  const bool denied = error->sqlstate.starts_with("28") || error->sqlstate == "08P01";
  if (denied && proof_passed_ && !authenticated_) {
    worker_.pace().Add(Pace::kDenial, d_.Now() - since_);
    d_.LoginFailed();
  }
  const std::string why = "the server refused the login with error " + error->sqlstate.substr(0, 5);
  if (error->sqlstate == "28000" && !authenticated_) {
    return Refuse(NoEntry(startup_.user, startup_.database), RUM_CLOSE_UPSTREAM_DENIED, why);
  }
  // Replaced: the server's text has its language and version, and would distinguish a wrong
  // password from an unknown name.
  if (error->sqlstate == "28P01" && !authenticated_) {
    return Refuse(WrongPassword(startup_.user), RUM_CLOSE_UPSTREAM_DENIED, why);
  }
  d_.client.Send(message.bytes);
  reported_ = true;
  return Close(RUM_CLOSE_UPSTREAM_DENIED, why);
}

bool Session::Close(uint32_t reason, std::string_view log_text) {
  d_.Close(reason, log_text);
  return false;
}

void Session::SayLastWords() {
  if (flows_ || reported_) return;
  // A failed wait that has not ended the session ends it now.
  const Reason reason = d_.closed() ? d_.closed() : d_.failed();
  if (!reason || d_.client.ended() || reason == Reason(RUM_CLOSE_CLIENT_GONE) ||
      reason == Reason(RUM_CLOSE_CLIENT_RESET)) {
    return;
  }
  reported_ = true;
  const OwnError error = ErrorForReason(reason.number());
  d_.client.Send(BuildError(error.sqlstate, error.text));
}

}  // namespace rum::pgsql
