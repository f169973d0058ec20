// Client and server agree on a proof of the password, and rum passes on what they say. Which of
// them speaks next is known from the server's request only; both are listened to.
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
    Said said = co_await ReadServer();
    if (!said) co_return false;
    switch (said->type()) {
      case 'R':
        if (!PassRequest(*said)) co_return false;
        break;
      case 'E':
        co_return PassError(*said);
      case 'N':  // of what a server says before its request clients take little, but it is theirs
      case 'v':
        d_.client.Send(said->bytes);
        break;
      default:
        co_return RefuseServer("the server does not speak about the login");
    }
  }
  co_return true;
}

bool Session::PassRequest(const Message& message) {
  std::optional<AuthRequest> request = ParseAuth(message.body());
  if (!request) return RefuseServer("the server asks for a proof that is not known here");
  const bool is_first = !asked_;
  if (is_first) worker_.pace().Add(Pace::kRequest, d_.Now() - since_);
  asked_ = request->kind;
  client_is_due_ = true;
  switch (request->kind) {
    case Auth::kOk:
      client_is_due_ = false;
      // A server that trusts the system takes whoever comes through rum for rum's own user.
      if (is_first && unix_upstream_ && !config_.socket_trust) {
        d_.Count(kServerDenials);
        return Refuse(WrongPassword(startup_.user), RUM_CLOSE_DENIED,
                      "the server asks for no proof by its socket; --pgsql-socket-trust allow");
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

// A client without TLS takes an offer of PLUS for an attack; and a server without TLS has no
// certificate: a proof bound to the one that the client sees is good only for somebody else.
bool Session::PassMechanisms(const AuthRequest& request, const Message& message) {
  auto names = ListMechanisms(request.data);
  if (!names) return RefuseServer("the server's list of mechanisms has no end");
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

// What the password itself is asked for by is a safe link, or the operator's choice.
bool Session::MayAskForPassword() {
  if (ServerHasTls() || unix_upstream_ || config_.clear_text) return true;
  d_.Count(kRefusedClearText);
  return Refuse({"28000",
                 "the password would have to go to the database server in clear text; it was not "
                 "asked for"},
                RUM_CLOSE_UNSUPPORTED,
                "the server asks for the password itself and has no TLS; --pgsql-clear-text allow");
}

Task<bool> Session::PassAnswer() {
  const bool is_initial = asked_ == Auth::kSasl;
  if (is_initial) {
    Said first = co_await ReadClient(false);
    if (!first) co_return false;
    if (!JudgeMechanism(first->body())) co_return false;
    if (method_ != kOauthLogins) {
      client_is_due_ = false;
      d_.upstream.Send(first->bytes);
      co_return true;
    }
    // A token is a proof: kept until it is this client's turn.
    std::string kept(first->bytes);
    const int32_t verdict = co_await d_.TryLogin();
    if (verdict < 0) co_return false;
    if (verdict != RUM_OK) co_return RefuseByVerdict(verdict);
    d_.upstream.Send(kept);
    OPENSSL_cleanse(kept.data(), kept.size());
  } else {
    Said answer = co_await ReadClient(true);
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
  if (!initial) return true;  // the server finds the fault
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
