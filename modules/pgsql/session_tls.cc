// TLS on both sides, and what channel binding makes of that: SCRAM ties a login to the certificate
// that the client sees, and a server knows only its own.
#include "pgsql/session.h"

namespace rum::pgsql {

using dialogue::Reason;
using dialogue::View;

Task<bool> Session::StartClientTls() {
  Reason failed = co_await d_.client.StartTls();
  if (failed) co_return false;
  d_.Note("tls", "client");
  co_return true;
}

// A client of version 17 or later may begin with TLS itself. As its servers do, rum goes on only
// where both mean PostgreSQL (ALPN).
Task<bool> Session::StartDirectTls() {
  // handshake_failure: clients show it, and not just that the connection has ended.
  if (d_.TlsMode(d_.client) == RUM_TLS_OFF) {
    d_.client.Send(std::string_view("\x15\x03\x01\x00\x02\x02\x28", 7));
    co_return Close(RUM_CLOSE_UNSUPPORTED, "the client began with TLS");
  }
  const bool started = co_await StartClientTls();
  if (!started) co_return false;
  if (d_.Alpn(d_.client) == kAlpn) co_return true;
  d_.Count(kClientFaults);
  co_return Close(RUM_CLOSE_CLIENT_PROTOCOL, "TLS from the first byte on, and not for postgresql");
}

Session::Wish Session::WishForTls() const {
  const int32_t mode = d_.TlsMode(d_.upstream);
  // A unix socket does not leave the machine, and servers have no TLS there.
  if (ServerHasTls() || unix_upstream_ || mode == RUM_TLS_OFF) return Wish::kNo;
  const Wish safe = ClientHasTls() ? Wish::kMust : Wish::kIfOffered;
  switch (config_.upstream_tls) {
    case UpstreamTls::kAsRum:
      return mode == RUM_TLS_MIRROR ? safe : Wish::kMust;
    case UpstreamTls::kPrefer:
      return safe;
    case UpstreamTls::kMirror:
      return ClientHasTls() ? Wish::kMust : Wish::kNo;
    case UpstreamTls::kOff:
      return Wish::kNo;
    case UpstreamTls::kRequire:
      break;
  }
  return Wish::kMust;
}

Task<bool> Session::StartUpstreamTls(Wish wish) {
  d_.upstream.Send(BuildSslRequest());
  View answer = co_await d_.upstream.Peek(1);
  if (!answer) co_return false;
  // What is behind the answer was not said by the server that the handshake will prove.
  if (answer.size() > 1) co_return RefuseServer("the server said more than whether it has TLS");
  const char word = answer.text().front();
  d_.upstream.Consume(1);
  if (word == 'S') {
    asked_for_tls_ = true;
    Reason failed = co_await d_.upstream.StartTls();
    co_return !failed;
  }
  if (word != 'N') co_return RefuseServer("the server does not say whether it has TLS");
  if (wish == Wish::kIfOffered) co_return true;
  co_return Refuse({"57P03", "the database server has no TLS, which this login needs"},
                   RUM_CLOSE_UNSUPPORTED,
                   "the server has no TLS; --pgsql-upstream-tls off goes there without");
}

// A certificate without a hash for it, as one signed by Ed25519, cannot be bound to at all.
bool Session::BindsToAnotherCertificate() const {
  if (!ClientHasTls() || !ServerHasTls()) return false;
  const std::string own = d_.EndPoint(d_.client);
  return own.empty() || own != d_.EndPoint(d_.upstream);
}

}  // namespace rum::pgsql
