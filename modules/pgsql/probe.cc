#include "pgsql/probe.h"

#include <algorithm>
#include <iterator>
#include <mutex>
#include <set>
#include <string>
#include <string_view>

#include "pgsql/message.h"
#include "pgsql/session.h"
#include "pgsql/startup.h"
#include "pgsql/wire.h"

namespace rum::pgsql {
namespace {

using dialogue::ProbeQuestion;
using dialogue::Reason;
using dialogue::View;

constexpr std::string_view kNobody = "none";  // --pgsql-probe-user
// SQLSTATEs of a server that is up but accepts no logins.
constexpr std::string_view kNotNow[] = {"57P03", "53300"};
constexpr size_t kMaxNote = 256;

std::string Printable(std::string_view text) {
  std::string plain(text.substr(0, kMaxNote));
  std::replace_if(
      plain.begin(), plain.end(), [](char c) { return c < 0x20 || c >= 0x7f; }, '?');
  return plain;
}

// Looks up the keys in the order of Session::Route(). At Connect(), rum ends such a probe and
// reports the address.
Script FindWay(Dialogue& d, const Config& config, const std::string& name) {
  const std::vector<RouteKey> keys = FindKeysOf(config.keys, name);
  for (const RouteKey& route : keys) {
    dialogue::Record record = co_await d.Lookup(route.key);
    if (record.status() == dialogue::Record::kNotFound) continue;
    if (record.status() != dialogue::Record::kFound) {
      co_return d.Close(RUM_CLOSE_MAP_UNAVAILABLE, "the lookup in the map failed");
    }
    const bool stored = route.names_user && config.rewrites &&
                        (ParseScramVerifier(record.secret()) || ParseMd5Hash(record.secret()));
    d.Note("record", Printable(route.key));
    d.Note("auth", stored ? "stored" : "relay");
    const std::string destination(record.destination());
    if (destination.empty()) {
      co_return d.Close(RUM_CLOSE_BAD_DESTINATION, "the map's record has no destination");
    }
    auto connection = d.Connect(destination);
    if (connection.Begin()) {
      co_return d.Close(RUM_CLOSE_BAD_DESTINATION, "the destination in the map is malformed");
    }
    (void)co_await connection;
    co_return;
  }
  if (!config.unknown_to_default) {
    co_return d.Close(RUM_CLOSE_DENIED, "the map does not know it (--pgsql-unknown-user deny)");
  }
  d.Note("auth", "relay");
  auto connection = d.Connect({});
  if (Reason failed = connection.Begin(); failed) {
    co_return d.Close(failed, "the map does not know it, and there is no default destination");
  }
  (void)co_await connection;
}

bool IsUnix(Dialogue& d) {
  char text[8] = {};
  d.Peer(d.upstream, text, sizeof text);
  return std::string_view(text).starts_with("unix");
}

// Any live server answers a GSSENCRequest, and logs nothing.
Script AskWhetherAlive(Dialogue& d) {
  d.upstream.Send(BuildGssRequest());
  View answer = co_await d.upstream.Read(1);
  if (!answer) co_return;
  const char word = answer.text().front();
  if (word == 'N' || word == 'G' || word == 'E') co_return d.Close(RUM_CLOSE_PROBED);
  d.Close(RUM_CLOSE_UPSTREAM_PROTOCOL, "the server does not speak the protocol");
}

// As for the sessions of clients.
bool WantsTls(Dialogue& d, const Config& config) {
  const int32_t mode = d.TlsMode(d.upstream);
  if (d.TlsActive(d.upstream) || mode == RUM_TLS_OFF || config.upstream_tls == UpstreamTls::kOff) {
    return false;
  }
  return config.upstream_tls != UpstreamTls::kMirror || d.TlsMode(d.client) != RUM_TLS_OFF;
}
bool NeedsTls(Dialogue& d, const Config& config) {
  const int32_t mode = d.TlsMode(d.upstream);
  return config.upstream_tls == UpstreamTls::kRequire ||
         (config.upstream_tls == UpstreamTls::kAsRum && mode != RUM_TLS_MIRROR);
}

Task<bool> StartTls(Dialogue& d, const Config& config) {
  d.upstream.Send(BuildSslRequest());
  View answer = co_await d.upstream.Read(1);
  if (!answer) co_return false;
  if (answer.text() == "S") {
    Reason failed = co_await d.upstream.StartTls();
    co_return !failed;
  }
  if (answer.text() == "N" && !NeedsTls(d, config)) co_return true;
  if (answer.text() == "N") {
    d.Close(RUM_CLOSE_UNSUPPORTED, "the server has no TLS, which --pgsql-upstream-tls demands");
  } else {
    d.Close(RUM_CLOSE_UPSTREAM_PROTOCOL, "the server does not speak the protocol");
  }
  co_return false;
}

// True once per destination and process. Bounded by the destinations of the map.
bool IsNews(const std::string& destination) {
  constexpr size_t kMost = 1024;
  static std::mutex mutex;
  // Never destroyed: probes may end after static objects are gone.
  static auto* known = new std::set<std::string>;
  std::lock_guard lock(mutex);
  return known->size() < kMost && known->insert(destination).second;
}

// With TLS on both links, clients bind their proof to rum's certificate, but the server checks it
// against its own.
void WarnOfCertificates(Dialogue& d, const std::string& destination) {
  const std::string own = d.EndPoint(d.client), server = d.EndPoint(d.upstream);
  if (d.TlsMode(d.client) == RUM_TLS_OFF && own.empty()) return;  // no client comes by TLS
  if (!d.TlsActive(d.upstream) || (!own.empty() && own == server) || !IsNews(destination)) return;
  const char* why = own.empty() ? "rum's certificate has a signature without a hash (Ed25519)"
                    : server.empty()
                        ? "the server's certificate has a signature without a hash (Ed25519)"
                        : "the server's certificate is another than rum's";
  d.Log(RUM_LOG_WARNING,
        "pgsql: " + destination + ": " + why +
            ", so clients that come by TLS and bind their password to it (SCRAM-SHA-256-PLUS, as "
            "libpq does) cannot log in there, but those with a verifier in the map; use one "
            "certificate for both, store verifiers, or see --pgsql-upstream-tls off");
}

}  // namespace

// The first answer to a Startup shows whether the server accepts logins. Closing then, as
// pg_isready does, leaves no line in the server's log; a denied login would.
Script Probe(Dialogue& d, const Config& config, Worker&, ProbeQuestion question) {
  if (!question.has_destination) {
    co_await FindWay(d, config, question.user);
    co_return;
  }
  d.SetAlpn(d.upstream, {kAlpn});
  Reason failed = co_await d.Connected();
  if (failed) co_return;
  // On a unix socket the server compares the system user at once, and logs a mismatch.
  if (IsUnix(d) || config.probe_user == kNobody) {
    co_await AskWhetherAlive(d);
    co_return;
  }
  if (WantsTls(d, config)) {
    if (!co_await StartTls(d, config)) co_return;
    WarnOfCertificates(d, question.destination);
  }
  d.upstream.Send(BuildStartup(config.probe_user));
  Frame frame;
  View bytes = co_await d.upstream.Frame(MessageParser{&frame}, kHeaderSize);
  if (!bytes) {
    if (frame.kind == Frame::Kind::kBad) {
      d.Close(RUM_CLOSE_UPSTREAM_PROTOCOL, "the server does not speak the protocol");
    }
    co_return;
  }
  const Message message{bytes.text()};
  if (message.type() == 'R') {
    if (auto request = ParseAuth(message.body())) d.Note("auth", NameOf(request->kind));
    co_return d.Close(RUM_CLOSE_PROBED);
  }
  auto error = message.type() == 'E' ? ParseError(message.body()) : std::nullopt;
  if (!error)
    co_return d.Close(RUM_CLOSE_UPSTREAM_PROTOCOL, "the server does not speak the protocol");
  const std::string text = Printable("error " + error->sqlstate + ": " + error->text);
  d.Note("error", text);
  const bool refuses =
      std::find(std::begin(kNotNow), std::end(kNotNow), error->sqlstate) != std::end(kNotNow);
  d.Close(refuses ? RUM_CLOSE_UPSTREAM_DENIED : RUM_CLOSE_PROBED, refuses ? text : "");
}

}  // namespace rum::pgsql
