// The ends of a login: what a refused client receives, and how to leave a server that has greeted.
#include <algorithm>
#include <string>
#include <utility>

#include "mysql/admission.h"
#include "mysql/session.h"

namespace rum::mysql {
namespace {

using dialogue::Reason;

// The user name that ends the login of a client that has left.
constexpr char kNobody[] = "rum_client_has_left";

constexpr uint16_t kTooManyConnections = 1040;

// Answers to one plugin after the client has left; none needs more than two.
constexpr unsigned kAnswersMost = 4;

}  // namespace

bool Session::Refuse(const ServerError& error, uint32_t reason, std::string_view log_text) {
  if (!Left()) d_.client.Send(BuildError(error, front_));
  reported_ = true;
  return Close(reason, log_text);
}

bool Session::RefuseFor(uint32_t reason, std::string_view log_text) {
  return Refuse(ErrorForReason(reason), reason, log_text);
}

bool Session::RefuseAsVerdict() {
  return Refuse(VerdictError(), ReasonForVerdict(verdict_), TextForVerdict(verdict_));
}

// Sending all at once, as Refuse() does, fails for accounts with the native plugin: the server does
// not ask for it. Any account may have it, and a wrong guess counts as an error of the address.
bool Session::RefuseAfterGreeting(const ServerError& error, uint32_t reason,
                                  std::string_view log_text) {
  d_.client.Send(BuildError(error, front_));
  reported_ = client_left_ = true;
  refused_for_ = reason;
  refused_text_ = log_text;
  return false;
}

// The client's proof is wrong, or must look so.
bool Session::Deny() {
  if (!Left() || with_password_) d_.LoginFailed();
  if (Left()) return Close(RUM_CLOSE_CLIENT_GONE, {});
  if (verdict_ != RUM_OK) {
    return Refuse(Denied(), ReasonForVerdict(verdict_), TextForVerdict(verdict_));
  }
  d_.Count(known_ ? kWrongPasswords : kUnknownUsers);
  if (!HasName()) return Refuse(Denied(), RUM_CLOSE_DENIED, name_fault_);
  uint32_t reason = RUM_CLOSE_DENIED;
  if (!known_ && config_.unknown_to_default) reason = RUM_CLOSE_NO_DESTINATION;
  return Refuse(Denied(), reason, known_ ? "wrong password" : "the map does not know the user");
}

// Errors are written again: one in place of a greeting has no SQL state, and clients would take it
// from the text. After a change of user the session may continue: denial_.
bool Session::PassError(Bytes payload, std::string_view when) {
  if (farewell_ != Farewell::kQuit) farewell_ = Farewell::kNone;
  Parsed<ServerError> parsed = ParseError(payload);
  if (!parsed.ok()) {
    d_.Count(kServerFaults);
    return RefuseFor(RUM_CLOSE_UPSTREAM_PROTOCOL, parsed.why);
  }
  ServerError error = std::move(parsed.value);
  std::string code = std::to_string(error.code);
  if (error.state.empty()) error.state = StateOfError(error.code);
  if (error.code == kTooManyConnections && config_.reuse.most > 0) {
    d_.DropKept();
    worker_.HasTooManyConnections(upstream_, d_.Now());
  }
  // The server names the address that it sees, rum's; and unknown users must see the same text.
  if (error.code == 1045 || error.code == 1698) {
    if (switched_) NoteDenial();
    d_.LoginFailed();
    error = Denied();
  }
  d_.Note("error", code);
  d_.Count(kServerDenials);
  if (logged_in_) {
    denial_ = std::move(error);
    return false;
  }
  std::string why = "the server refused the login with error " + code;
  return Refuse(error, RUM_CLOSE_UPSTREAM_DENIED, why.append(when));
}

// A change of user takes no connection; its refusal takes MariaDB a second.
void Session::NoteDenial() {
  if (!rewriting_ && !logged_in_) {
    NotePace(reused_ ? Pace::Step::kKeptDenial : Pace::Step::kDenial);
  }
}

ServerError Session::Denied() const {
  return AccessDenied(sent_name_, ClientHost(), with_password_);
}

bool Session::Close(uint32_t reason, std::string_view log_text) {
  if (refused_for_ && reason == RUM_CLOSE_CLIENT_GONE) {
    reason = refused_for_;
    log_text = refused_text_;
  }
  LeaveUpstream();
  d_.Close(reason, log_text);
  return false;
}

void Session::SayLastWords() {
  if (std::exchange(ended_, true) || flows_) return;
  // A failed wait that has not ended the session ends it now.
  const Reason reason = d_.closed() ? d_.closed() : d_.failed();
  if (reason == Reason(RUM_CLOSE_LIMIT) && !d_.closed()) {
    RefuseFor(RUM_CLOSE_LIMIT, "a packet of the login does not fit the window");
  }
  // A client that knows that its guess was wrong might just wait for rum to end the login.
  if (reason == Reason(RUM_CLOSE_LOGIN_TIMEOUT) && client_is_due_ && proof_passed_) {
    d_.LoginFailed();
  }
  const bool broken =
      reason == Reason(RUM_CLOSE_UPSTREAM_GONE) || reason == Reason(RUM_CLOSE_UPSTREAM_RESET);
  if (broken) farewell_ = Farewell::kNone;
  LeaveUpstream();
  const bool left =
      Left() || reason == Reason(RUM_CLOSE_CLIENT_GONE) || reason == Reason(RUM_CLOSE_CLIENT_RESET);
  if (!reported_ && !left) d_.client.Send(BuildError(ErrorForReason(reason.number()), front_));
}

// Servers count a login that breaks off as an error of the proxy's address, and block the address
// after some. They count neither wrong passwords nor unknown users: a login whose client has left
// is ended by one of these.
Task<bool> Session::GoOnAlone(Payload said) {
  client_left_ = true;
  if (!said && !server_is_due_ && !AnswerWrongly()) {
    farewell_ = Farewell::kNone;
    co_return Close(RUM_CLOSE_CLIENT_GONE, {});
  }
  if (!said) said = co_await ReadServer();
  while (said && AnswerAlone(*said)) said = co_await ReadServer();
  co_return false;
}

Task<bool> Session::LeaveAsNobody() {
  RespondAsNobody();
  co_return co_await GoOnAlone();
}

void Session::RespondAsNobody() {
  Response nobody;
  nobody.capabilities = kProtocol41 | kSecureConnection | kPluginAuth;
  if (asked_for_tls_ && outgoing_) {  // the server parses it by the flags of the SSLRequest
    nobody.capabilities = outgoing_->capabilities;
    nobody.max_packet = outgoing_->max_packet;
    nobody.charset = outgoing_->charset;
    nobody.zstd_level = outgoing_->zstd_level;
  }
  nobody.user = kNobody;
  nobody.plugin = no_plugin_;  // takes the steps of any account
  if (back_ == 0) back_ = 1;
  SendToUpstream(BuildResponse(nobody, back_++));
  exchange_ = Exchange(PluginKind::kNative);
  farewell_ = Farewell::kAnswer;
}

bool Session::AnswerWrongly() {
  std::optional<std::string> answer = WrongProof(exchange_.kind(), answered_++);
  if (!answer) return false;
  since_ = d_.Now();
  SendToUpstream(PacketWriter().WriteText(*answer).Finish(back_++));
  return true;
}

// True: the server is to speak again.
bool Session::AnswerAlone(Bytes payload) {
  switch (KindOfReply(payload)) {
    case ReplyKind::kOk:  // an account without a password, or with this one
      if (proof_passed_) d_.Confirm();
      farewell_ = Farewell::kQuit;
      return Close(RUM_CLOSE_CLIENT_GONE, {});
    case ReplyKind::kError:
      if (answered_ > 0) NoteDenial();
      [[fallthrough]];
    case ReplyKind::kOldSwitch:
      // A wrong guess may be known before the server's last reply; the client does not wait for
      // that.
      if (proof_passed_) d_.LoginFailed();
      farewell_ = Farewell::kNone;
      d_.Count(kFarewells);
      return Close(RUM_CLOSE_CLIENT_GONE, {});
    case ReplyKind::kFastAuthOk:
      server_is_due_ = true;
      return true;
    case ReplyKind::kSwitch:
    case ReplyKind::kNextFactor: {
      Parsed<PluginRequest> request = ParsePluginRequest(payload);
      exchange_ = Exchange(request.ok() ? KindOfPlugin(request.value.plugin) : PluginKind::kClear);
      answered_ = 0;
      break;
    }
    case ReplyKind::kMore:
      break;
  }
  if (answered_ < kAnswersMost && AnswerWrongly()) return true;
  farewell_ = Farewell::kNone;
  return Close(RUM_CLOSE_CLIENT_GONE, {});
}

// When rum itself ends the login it cannot wait: it sends all at once and guesses the server's
// requests in between.
void Session::LeaveUpstream() {
  switch (farewell_) {
    case Farewell::kNone:
      return;
    case Farewell::kResponse:
      RespondAsNobody();
      ++back_;  // the server's
      AnswerWrongly();
      break;
    case Farewell::kAnswer:
      // If the server is to speak, its packet takes the number in between.
      if (server_is_due_) ++back_;
      AnswerWrongly();
      break;
    case Farewell::kQuit:
      d_.upstream.Send(PacketWriter().WriteU8(1).Finish(0));
      break;
  }
  farewell_ = Farewell::kNone;
  d_.Count(kFarewells);
}

}  // namespace rum::mysql
