// The client proves its password to rum against the secret in the map, and rum logs in to the
// server with the keys that the proof reveals. A wrong password reaches no server.
#include <openssl/rand.h>

#include <utility>

#include "pgsql/sasl.h"
#include "pgsql/scram_crypto.h"
#include "pgsql/session.h"

namespace rum::pgsql {

bool Session::TakeSecret() {
  const std::string_view secret = dialogue::RecordParts(record_).secret();
  verifier_ = ParseScramVerifier(secret);
  if (!verifier_) md5_ = ParseMd5Hash(secret);
  return verifier_ || md5_;
}

// Answers in place of the server, which is not connected yet.
void Session::Negotiate() {
  if (startup_.NeedsNegotiation()) {
    d_.client.Send(BuildNegotiation(kVersion3, startup_.extensions));
  }
}

Task<bool> Session::ProveToRum() {
  Negotiate();
  if (md5_) co_return co_await ProveByMd5();
  ScramEdge edge(*verifier_, d_.EndPoint(d_.client));
  co_return co_await ProveByScram(edge, true);
}

Task<bool> Session::ProveByMd5() {
  std::string salt(kMd5Salt, '\0');
  if (RAND_bytes(reinterpret_cast<unsigned char*>(salt.data()), kMd5Salt) != 1) {
    co_return RefuseFor(RUM_CLOSE_MODULE, "the library gave no random bytes");
  }
  d_.client.Send(BuildAuth(Auth::kMd5, salt));
  MaybeMessage message = co_await ReadClient(true);
  if (!message) co_return false;
  auto answer = ParsePassword(message->body());
  if (!answer || !CheckMd5Answer(*md5_, salt, *answer)) co_return DenyPassword();
  co_return true;
}

// An unknown name gets the same messages and costs the same work, but its password is always wrong.
Task<bool> Session::ProveByScram(ScramEdge& edge, bool known) {
  if (!known) {
    if (!co_await Delay(Pace::kRequest)) co_return false;
  }
  d_.client.Send(BuildAuth(Auth::kSasl, edge.mechanisms()));
  MaybeMessage message = co_await ReadClient(false);
  if (!message) co_return false;
  auto initial = ParseSaslInitial(message->body());
  std::optional<std::string> nonce = MakeScramNonce();
  if (!nonce) co_return RefuseFor(RUM_CLOSE_MODULE, "the kernel gave no random bytes");
  if (!initial) co_return RefuseByFault(ScramFault::kMalformed);
  ScramStep step = edge.Start(initial->mechanism, initial->message, *nonce);
  if (!step.ok()) co_return RefuseByFault(step.fault);
  d_.client.Send(BuildAuth(Auth::kSaslContinue, step.message));
  message = co_await ReadClient(true);
  if (!message) co_return false;
  step = edge.Finish(message->body());
  if (!known && (step.ok() || step.fault == ScramFault::kPassword)) {
    if (!co_await Delay(Pace::kDenial)) co_return false;
    co_return DenyPassword();
  }
  if (!step.ok()) co_return RefuseByFault(step.fault);
  client_key_ = edge.client_key();
  server_final_ = std::move(step.message);
  co_return true;
}

Task<bool> Session::RefuseAsUnknown() {
  known_ = false;
  Negotiate();
  const std::string binding = worker_.offers_plus() ? d_.EndPoint(d_.client) : std::string();
  ScramEdge edge = ScramEdge::MakeMock(config_.mock_secret, startup_.user, binding);
  co_return co_await ProveByScram(edge, false);
}

// False: the session ends.
Task<bool> Session::Delay(Pace::Step step) {
  const uint64_t wait = worker_.pace().Pick(step);
  if (wait == 0) co_return true;
  const dialogue::Reason failed = co_await d_.SleepMicros(wait);
  co_return !failed;
}

bool Session::DenyPassword() {
  d_.LoginFailed();
  d_.Count(known_ ? kWrongPasswords : kUnknownUsers);
  const bool no_default = !known_ && config_.unknown_to_default;
  return Refuse(WrongPassword(startup_.user),
                no_default ? RUM_CLOSE_NO_DESTINATION : RUM_CLOSE_DENIED,
                known_ ? "wrong password" : "the map does not know the user");
}

bool Session::RefuseByFault(ScramFault fault) {
  if (fault == ScramFault::kPassword) return DenyPassword();
  d_.Count(kClientFaults);
  const ScramError error = ErrorOf(fault, startup_.user);
  return Refuse({error.sqlstate, error.message}, RUM_CLOSE_CLIENT_PROTOCOL, error.message);
}

// The client gets no result until the server has accepted the login.
Task<bool> Session::LogIn() {
  method_ = kStoredLogins;
  for (;;) {
    MaybeMessage message = co_await ReadServer();
    if (!message) co_return false;
    if (message->type() == 'E') co_return RefuseOrPass(*message);
    if (message->type() == 'N' || message->type() == 'v') continue;
    if (message->type() != 'R')
      co_return RefuseServer("the server sent an unexpected message in the login");
    auto request = ParseAuth(message->body());
    if (!request)
      co_return RefuseServer("the server requests an authentication method that rum does not know");
    if (request->kind == Auth::kOk) break;
    if (!AnswerServer(*request)) co_return false;
    asked_ = request->kind;
  }
  if (!asked_ && unix_upstream_ && !config_.socket_trust) {
    d_.Count(kServerDenials);
    co_return Refuse(WrongPassword(startup_.user), RUM_CLOSE_DENIED,
                     "the server requests no password on its socket; --pgsql-socket-trust allow");
  }
  if (back_ && !server_proved_) {
    co_return RefuseServer("the server accepted the login without its own SCRAM proof");
  }
  client_key_.reset();
  if (!Accept()) co_return false;
  if (!server_final_.empty()) d_.client.Send(BuildAuth(Auth::kSaslFinal, server_final_));
  d_.client.Send(BuildAuth(Auth::kOk));
  co_return true;
}

bool Session::AnswerServer(const AuthRequest& request) {
  ScramBack::Step step;
  switch (request.kind) {
    case Auth::kMd5: {
      // Only once: a hostile server could request answers for the salts of another server.
      auto answer = md5_ && !asked_ ? MakeMd5Answer(*md5_, request.data) : std::nullopt;
      if (!answer) break;
      d_.upstream.Send(BuildMessage('p', answer->append(1, '\0')));
      return true;
    }
    case Auth::kSasl: {
      std::optional<std::string> nonce = MakeScramNonce();
      if (!verifier_ || !client_key_ || back_ || !nonce) break;
      back_.emplace(*verifier_, *client_key_);
      const std::string binding = d_.EndPoint(d_.upstream);
      const auto link = !ServerHasTls()   ? ScramBack::Link::kPlain
                        : binding.empty() ? ScramBack::Link::kTls
                                          : ScramBack::Link::kTlsWithHash;
      step = back_->Start(request.data, link, binding, *nonce);
      if (!step.ok()) return RefuseByFault(step.fault);
      d_.upstream.Send(BuildMessage('p', FormatSaslInitial(back_->mechanism(), step.message)));
      return true;
    }
    case Auth::kSaslContinue:
      if (!back_) break;
      step = back_->Continue(request.data);
      if (!step.ok()) return RefuseByFault(step.fault);
      d_.upstream.Send(BuildMessage('p', step.message));
      return true;
    case Auth::kSaslFinal: {
      if (!back_) break;
      const auto fault = back_->Finish(request.data);
      server_proved_ = fault == ScramBack::Fault::kNone;
      return server_proved_ || RefuseByFault(fault);
    }
    default:
      break;
  }
  if (request.kind == Auth::kClearText) return RefuseOtherMethod("the password in clear text");
  if (request.kind == Auth::kGss || request.kind == Auth::kSspi) return RefuseOtherMethod("GSSAPI");
  if (request.kind == Auth::kMd5 && !md5_) return RefuseOtherMethod("an MD5 proof");
  if (request.kind == Auth::kSasl && !verifier_)
    return RefuseOtherMethod("SCRAM or another SASL mechanism");
  return RefuseServer("the server sent an unexpected authentication request");
}

bool Session::RefuseByFault(ScramBack::Fault fault) {
  switch (fault) {
    case ScramBack::Fault::kOtherVerifier:
    case ScramBack::Fault::kRefused:
      return RefuseOtherVerifier(
          "the server has another verifier for this user than the map: export it again");
    case ScramBack::Fault::kNoMechanism:
      return RefuseOtherMethod("another SASL mechanism than SCRAM-SHA-256");
    case ScramBack::Fault::kOtherServer:
      return RefuseServer(
          "the server's SCRAM proof is wrong: another server may answer at its address");
    default:
      return RefuseServer("the server's SCRAM message is malformed");
  }
}

// The client has proved the password of the map, but the server has another one.
bool Session::RefuseOtherVerifier(std::string_view why) {
  d_.Count(kOtherVerifiers);
  return Refuse({"57P03", "the database server has another password for this user than the proxy"},
                RUM_CLOSE_UPSTREAM_DENIED, why);
}

// rum knows no password, only the secret of the map, which serves for one method.
bool Session::RefuseOtherMethod(std::string_view method) {
  d_.Count(kOtherVerifiers);
  const std::string_view secret = verifier_ ? "a SCRAM-SHA-256 verifier" : "an MD5 hash";
  return Refuse({"57P03",
                 "the database server requests an authentication method that the proxy cannot use "
                 "for this user"},
                RUM_CLOSE_UPSTREAM_DENIED,
                "the server requests " + std::string(method) + ", but the map has " +
                    std::string(secret) + " for the user: remove it, or give --pgsql-auth relay");
}

bool Session::RefuseOrPass(const Message& message) {
  auto error = ParseError(message.body());
  if (error && error->sqlstate == "28P01" && asked_) {
    return RefuseOtherVerifier("the server refuses what the map's secret proves: export it again");
  }
  return PassError(message);
}

}  // namespace rum::pgsql
