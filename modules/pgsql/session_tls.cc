// TLS on both sides, and channel binding: SCRAM binds a login to the certificate that the client
// sees, and the server compares it with its own.
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

// Clients of version 17 or later may begin with TLS. As servers do, rum continues only if ALPN has
// selected PostgreSQL.
Task<bool> Session::StartDirectTls() {
  // Clients show this alert; otherwise they would only report a closed connection.
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
  // Bytes after the answer are not authenticated by the handshake.
  if (answer.size() > 1)
    co_return RefuseServer("the server sent more than one byte in answer to the SSLRequest");
  const char word = answer.text().front();
  d_.upstream.Consume(1);
  if (word == 'S') {
    asked_for_tls_ = true;
    Reason failed = co_await d_.upstream.StartTls();
    co_return !failed;
  }
  if (word != 'N')
    co_return RefuseServer("the server's answer to the SSLRequest is neither S nor N");
  if (wish == Wish::kIfOffered) co_return true;
  co_return Refuse({"57P03", "the database server has no TLS, which this login needs"},
                   RUM_CLOSE_UNSUPPORTED,
                   "the server has no TLS; --pgsql-upstream-tls off connects without");
}

// Channel binding is undefined for certificates signed by Ed25519.
bool Session::BindsToAnotherCertificate() const {
  if (!ClientHasTls() || !ServerHasTls()) return false;
  const std::string own = d_.EndPoint(d_.client);
  return own.empty() || own != d_.EndPoint(d_.upstream);
}

}  // namespace rum::pgsql
