// Client and server agree on a proof of the password, and rum relays their messages. Only the
// server's request determines who sends next, so rum reads from both.
#include <algorithm>

#include "pgsql/sasl.h"
#include "pgsql/session.h"

namespace rum::pgsql {

using dialogue::Event;
using dialogue::View;

Task<bool> Session::Authenticate() {
  if (client_key_ || md5_) co_return co_await LogIn();
  co_return co_await LetAgree();
}

Task<bool> Session::LetAgree() {
  size_t wanted = kHeaderSize;  // of the client's answer
  while (!authenticated_) {
    const Event event =
        co_await d_.First().Client(client_is_due_ ? wanted : 0).Upstream(kHeaderSize);
    if (event == Event::kClient) {
      View bytes = co_await d_.client.Peek(wanted);
      Frame frame = ReadFrame(bytes.text());
      wanted = frame.kind == Frame::Kind::kPartial ? frame.size : kHeaderSize;
      if (frame.kind == Frame::Kind::kPartial) continue;
      if (!co_await PassAnswer()) co_return false;
      continue;
    }
    if (event != Event::kUpstream) co_return false;
    MaybeMessage message = co_await ReadServer();
    if (!message) co_return false;
    switch (message->type()) {
      case 'R':
        if (!PassRequest(*message)) co_return false;
        break;
      case 'E':
        co_return PassError(*message);
      case 'N':  // of the messages before the request, clients accept only these
      case 'v':
        d_.client.Send(message->bytes);
        break;
      default:
        co_return RefuseServer("the server sent an unexpected message in the login");
    }
  }
  co_return true;
}

bool Session::PassRequest(const Message& message) {
  std::optional<AuthRequest> request = ParseAuth(message.body());
  if (!request)
    return RefuseServer("the server requests an authentication method that rum does not know");
  const bool is_first = !asked_;
  if (is_first) worker_.pace().Add(Pace::kRequest, d_.Now() - since_);
  asked_ = request->kind;
  client_is_due_ = true;
  switch (request->kind) {
    case Auth::kOk:
      client_is_due_ = false;
      // A server that trusts the system user would take every client for rum's own user.
      if (is_first && unix_upstream_ && !config_.socket_trust) {
        d_.Count(kServerDenials);
        return Refuse(WrongPassword(startup_.user), RUM_CLOSE_DENIED,
                      "the server requests no password on its socket; --pgsql-socket-trust allow");
      }
      if (!Accept()) return false;
      break;
    case Auth::kClearText:
      method_ = kPasswordLogins;
      if (!MayAskForPassword()) return false;
      break;
    case Auth::kMd5:
      method_ = kMd5Logins;
      break;
    case Auth::kGss:
    case Auth::kSspi:
      method_ = kGssLogins;
      break;
    case Auth::kSasl:
      return PassMechanisms(*request, message);
    case Auth::kSaslFinal:
      client_is_due_ = false;
      break;
    case Auth::kGssContinue:
    case Auth::kSaslContinue:
      break;
  }
  d_.client.Send(message.bytes);
  return true;
}

// A client without TLS treats an offer of PLUS as an attack. A server without TLS has no
// certificate: a proof bound to the one that the client sees would only be valid elsewhere.
bool Session::PassMechanisms(const AuthRequest& request, const Message& message) {
  auto names = ListMechanisms(request.data);
  if (!names) return RefuseServer("the server's list of SASL mechanisms is malformed");
  if (std::find(names->begin(), names->end(), kOauth) != names->end() && !MayAskForPassword()) {
    return false;
  }
  const bool has_plus = std::find(names->begin(), names->end(), kScramPlus) != names->end();
  const bool passes_plus = ServerHasTls() && ClientHasTls();
  if (ClientHasTls()) worker_.RememberOffer(has_plus && passes_plus);
  if (!has_plus || passes_plus) {
    d_.client.Send(message.bytes);
    return true;
  }
  std::erase(*names, kScramPlus);
  if (names->empty() && !ServerHasTls()) {
    return RefuseServer("the server offers channel binding only, and has no TLS");
  }
  if (names->empty()) {
    return Refuse({"28000", "this login needs TLS: use sslmode=require"}, RUM_CLOSE_UNSUPPORTED,
                  "the server offers channel binding only, and the client came without TLS");
  }
  d_.client.Send(BuildMechanisms(*names));
  return true;
}

// A server may ask for the password itself over a safe link, or if the operator allows it.
bool Session::MayAskForPassword() {
  if (ServerHasTls() || unix_upstream_ || config_.clear_text) return true;
  d_.Count(kRefusedClearText);
  return Refuse(
      {"28000",
       "the database server requests the password in clear text without TLS, which the proxy "
       "does not allow"},
      RUM_CLOSE_UNSUPPORTED,
      "the server requests the password in clear text without TLS; --pgsql-clear-text allow");
}

Task<bool> Session::PassAnswer() {
  const bool is_initial = asked_ == Auth::kSasl;
  if (is_initial) {
    MaybeMessage first = co_await ReadClient(false);
    if (!first) co_return false;
    if (!JudgeMechanism(first->body())) co_return false;
    if (method_ != kOauthLogins) {
      client_is_due_ = false;
      d_.upstream.Send(first->bytes);
      co_return true;
    }
    // A token is a proof: it waits until it is this client's turn.
    std::string kept(first->bytes);
    const int32_t verdict = co_await d_.TryLogin();
    if (verdict < 0) co_return false;
    if (verdict != RUM_OK) co_return RefuseByVerdict(verdict);
    d_.upstream.Send(kept);
    OPENSSL_cleanse(kept.data(), kept.size());
  } else {
    MaybeMessage answer = co_await ReadClient(true);
    if (!answer) co_return false;
    d_.upstream.Send(answer->bytes);
  }
  client_is_due_ = false;
  proof_passed_ = true;
  since_ = d_.Now();
  co_return true;
}

bool Session::JudgeMechanism(std::string_view body) {
  const std::string_view mechanism = body.substr(0, body.find('\0'));
  if (mechanism == kOauth) {
    method_ = kOauthLogins;
    return MayAskForPassword();  // a client may send a token unasked
  }
  method_ = mechanism == kScramPlus ? kScramPlusLogins : kScramLogins;
  auto initial = ParseSaslInitial(body);
  if (!initial) return true;  // malformed: the server refuses it
  // y: the client could bind, and believes that the server cannot.
  const bool binds = mechanism == kScramPlus || initial->message.starts_with('y');
  if (!binds || !BindsToAnotherCertificate()) return true;
  d_.Count(kOtherCertificates);
  // 57P03: libpq does not fall back to a connection without TLS.
  return Refuse({"57P03",
                 "channel binding is not possible: the proxy and the database server have "
                 "different certificates; use channel_binding=disable"},
                RUM_CLOSE_UNSUPPORTED,
                "the client binds to rum's certificate, and the server has another: give both the "
                "same one, or store verifiers in the map");
}

}  // namespace rum::pgsql
