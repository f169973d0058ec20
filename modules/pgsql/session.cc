// A login from top to bottom, in the order of the wire. What the steps need is in session_tls.cc
// (TLS to the server), session_relay.cc (client and server agree), session_stored.cc (rum checks
// the password) and session_end.cc (refusals and last words).
#include "pgsql/session.h"

#include <algorithm>
#include <utility>

#include "common/shared_key.h"
#include "pgsql/cancel_key.h"
#include "pgsql/route.h"

namespace rum::pgsql {

using dialogue::Parse;
using dialogue::Reason;
using dialogue::View;

Script Login(Dialogue& d, const Config& config, Worker& worker) {
  Session session(d, config, worker);
  co_await session.Run();
  session.SayLastWords();
}

Script Refused(Dialogue& d, const Config& config, Worker& worker, Reason reason) {
  Session session(d, config, worker);
  co_await session.Refuse(reason);
}

Script Session::Refuse(Reason reason) {
  refused_ = true;
  const bool read = co_await ReadStartup();
  if (read) RefuseFor(reason.number(), {});
}

Script Session::Run() {
  const bool known = co_await ReadStartup();  // who is the client?
  if (!known) co_return;
  if (!co_await Route()) co_return;  // where does it go, and may it? With a verifier: is it true?
  if (!co_await Connect()) co_return;
  if (!co_await MeetServer()) co_return;    // TLS, the Startup
  if (!co_await Authenticate()) co_return;  // server and client agree, or both with rum
  co_await Enter();
}

// TLS and GSSAPI may be requested once each, and only before the Startup.
Task<bool> Session::ReadStartup() {
  using Kind = FirstPacket::Kind;
  unix_client_ = PeerOf(d_.client).starts_with("unix");
  d_.SetAlpn(d_.client, {kAlpn});
  bool tls_is_over = ClientHasTls();
  bool gss_is_over = tls_is_over;
  Kind kind = Kind::kPartial;
  for (;;) {
    const bool may_be_tls = kind == Kind::kPartial && !tls_is_over;
    // A bad packet gets no answer, as from servers: the client would not understand one.
    if (!co_await ReadFirstPacket(&kind, may_be_tls)) co_return false;
    if (kind == Kind::kStartup) co_return TakeStartup();
    if (kind == Kind::kCancel) co_return co_await PassCancel();
    if (kind == Kind::kTls) {
      if (!co_await StartDirectTls()) co_return false;
      tls_is_over = gss_is_over = true;
    } else if (kind == Kind::kSslRequest) {
      if (std::exchange(tls_is_over, true)) co_return RefuseRequest("1234.5679");
      if (d_.TlsMode(d_.client) == RUM_TLS_OFF) {
        d_.client.Send("N");
        continue;
      }
      d_.client.Send("S");
      if (!co_await StartClientTls()) co_return false;
      gss_is_over = true;
    } else {
      if (std::exchange(gss_is_over, true)) co_return RefuseRequest("1234.5680");
      d_.client.Send("N");
    }
  }
}

// Reads the Startup, or a packet before it, into packet_.
Task<bool> Session::ReadFirstPacket(FirstPacket::Kind* kind, bool may_be_tls) {
  using Kind = FirstPacket::Kind;
  auto parser = [kind, may_be_tls](std::string_view bytes) {
    const FirstPacket first = ReadFirst(bytes);
    *kind = first.kind;
    if (first.kind == Kind::kPartial) return Parse::Need(first.size);
    const bool good = first.kind != Kind::kNone && (first.kind != Kind::kTls || may_be_tls);
    return good ? Parse::Whole(first.size) : Parse::Bad();
  };
  View packet = co_await d_.client.Frame(parser);
  if (!packet) co_return false;
  packet_ = packet.text();
  co_return true;
}

// Passes the request on; the session then ends.
Task<bool> Session::PassCancel() {
  auto key = ReadCancel(packet_);
  if (!key)
    co_return Close(RUM_CLOSE_CLIENT_PROTOCOL, "a cancel request cannot have a key of this length");
  if (refused_) co_return Close(RUM_CLOSE_LIMIT, {});
  co_await Cancel(d_, worker_, *key);
  co_return false;
}

bool Session::TakeStartup() {
  reported_ = false;
  ParsedStartup parsed = ParseStartup(packet_);
  if (!parsed.ok()) {
    d_.Count(kClientFaults);
    if (parsed.value.version < kVersion3) {
      d_.client.Send(BuildOldError(parsed.why));
      reported_ = true;
    }
    return Refuse({parsed.sqlstate, parsed.why}, RUM_CLOSE_CLIENT_PROTOCOL, parsed.why);
  }
  startup_ = std::move(parsed.value);
  d_.Identify(NameOf(config_.keys, startup_));
  if (config_.keys.kind == KeyKind::kUser) d_.Note("database", startup_.database);
  if (config_.keys.kind == KeyKind::kDatabase) d_.Note("role", startup_.user);
  if (d_.TlsMode(d_.client) == RUM_TLS_REQUIRE && !ClientHasTls() && !unix_client_) {
    return Refuse({"28000", "connections are only possible with TLS: use sslmode=require"},
                  RUM_CLOSE_DENIED, "the client came without TLS");
  }
  return true;
}

Task<bool> Session::Route() {
  since_ = d_.Now();
  const std::vector<RouteKey> keys = FindKeys(config_.keys, startup_, d_.ServerName());
  for (const RouteKey& route : keys) {
    dialogue::Record record = co_await d_.Lookup(route.key);
    if (record.status() == dialogue::Record::kNotFound) continue;
    if (record.status() == dialogue::Record::kUnavailable) {
      co_return RefuseFor(RUM_CLOSE_MAP_UNAVAILABLE, "the lookup in the map failed");
    }
    if (record.status() == dialogue::Record::kEnded) co_return false;
    known_ = true;
    record_ = record.value();
    destination_ = record.destination();
    if (destination_.empty()) {
      co_return RefuseFor(RUM_CLOSE_BAD_DESTINATION, "the map's record has no destination");
    }
    co_return co_await AdmitKnown(route.names_user);
  }
  if (config_.unknown_to_default) co_return true;  // if there is a default, see Connect()
  co_return co_await RefuseAsUnknown();
}

Task<bool> Session::AdmitKnown(bool names_user) {
  const bool rewrites = names_user && config_.rewrites && TakeSecret();
  if (rewrites) {
    if (!co_await ProveToRum()) co_return false;
  }
  // Only after the proof: guesses must not use up the user's limits.
  int32_t verdict = d_.Admit(record_);
  if (verdict == RUM_OK && rewrites) verdict = d_.Confirm();
  std::string text;
  if (verdict == RUM_REFUSED_DISABLED) {
    text = dialogue::RecordParts(record_).Column("disabled").value_or("");
  }
  OPENSSL_cleanse(record_.data(), record_.size());
  if (verdict == RUM_OK) co_return true;
  if (!text.empty()) {
    co_return Refuse(UserDisabled(text), RUM_CLOSE_DENIED, TextForVerdict(verdict));
  }
  if (!LooksLikeAWrongPassword(verdict)) co_return RefuseByVerdict(verdict);
  if (!rewrites) co_return co_await RefuseAsUnknown();
  d_.LoginFailed();
  co_return Refuse(WrongPassword(startup_.user), RUM_CLOSE_DENIED, TextForVerdict(verdict));
}

Task<bool> Session::Connect() {
  d_.SetAlpn(d_.upstream, {kAlpn});
  auto connection = d_.Connect(destination_);
  Reason failed = connection.Begin();
  if (failed == Reason(RUM_CLOSE_NO_DESTINATION)) co_return co_await RefuseAsUnknown();
  if (failed == Reason(RUM_CLOSE_BAD_DESTINATION)) {
    co_return RefuseFor(failed.number(), "the destination in the map is malformed");
  }
  if (failed == Reason(RUM_CLOSE_LIMIT)) {
    co_return RefuseFor(failed.number(), "the destination takes no more connections");
  }
  if (failed) co_return RefuseFor(RUM_CLOSE_MODULE, "the connection could not be started");
  d_.Note("auth", client_key_ || md5_ ? "stored" : "relay");
  if (!known_) {
    if (int32_t verdict = d_.Admit({}); verdict != RUM_OK) {
      if (!LooksLikeAWrongPassword(verdict)) co_return RefuseByVerdict(verdict);
      d_.LoginFailed();
      co_return Refuse(WrongPassword(startup_.user), RUM_CLOSE_DENIED, TextForVerdict(verdict));
    }
  }
  failed = co_await connection;
  if (failed) co_return false;
  unix_upstream_ = PeerOf(d_.upstream).starts_with("unix");
  co_return true;
}

Task<bool> Session::MeetServer() {
  const Wish wish = WishForTls();
  if (wish != Wish::kNo) {
    if (!co_await StartUpstreamTls(wish)) co_return false;
  }
  StartupChange change;
  change.only_3_0 = client_key_ || md5_;
  if (config_.application_address) {
    change.application = AppendAddress(startup_.application, PeerOf(d_.client));
  }
  const bool changes = change.only_3_0 || change.application;
  d_.upstream.Send(changes ? ChangeStartup(packet_, change) : packet_);
  packet_ = {};
  co_return true;
}

// The server has accepted the proof. It still sends parameters, the key for cancels, and perhaps an
// error.
Task<bool> Session::Enter() {
  for (;;) {
    MaybeMessage message = co_await ReadServer();
    if (!message) co_return false;
    switch (message->type()) {
      case 'E':
        co_return PassError(*message);
      case 'K':
        // One per session: a hostile server could fill the shared table with keys.
        if (std::exchange(has_key_, true)) {
          co_return RefuseServer("the server sent a second key for cancel requests");
        }
        KeepCancelKey(message->body());
        break;
      case 'S':
      case 'N':
      case 'v':
        break;
      case 'Z':
        d_.client.Send(message->bytes);
        d_.Count(method_);
        flows_ = d_.Relay() == RUM_OK;
        co_return flows_ || Close(RUM_CLOSE_MODULE, "the relay could not be started");
      default:
        co_return RefuseServer("the server sent an unexpected message in the login");
    }
    d_.client.Send(message->bytes);
  }
}

// Before the client gets the result. The server has already accepted a client that is refused here.
bool Session::Accept() {
  authenticated_ = true;
  const int32_t verdict = d_.Confirm();
  if (verdict == RUM_OK) return true;
  d_.upstream.Send(std::string(kTerminate));
  return RefuseByVerdict(verdict);
}

void Session::KeepCancelKey(std::string_view body) {
  auto key = ParseKeyData(body);
  if (!key) return;  // such a session has no key that a client could send
  CancelTarget target{.destination = d_.Destination(), .asks_for_tls = asked_for_tls_};
  if (target.destination.empty()) return;
  if (d_.Share(common::SharedKey(*key), BuildCancelTarget(target)) != RUM_OK)
    d_.Count(kLostCancelKeys);
}

Task<MaybeMessage> Session::ReadServer() {
  Frame frame;
  View bytes = co_await d_.upstream.Frame(MessageParser{&frame}, kHeaderSize);
  if (!bytes && frame.kind == Frame::Kind::kBad) {
    RefuseServer("the server's message is too long");
    co_return std::nullopt;
  }
  if (!bytes) co_return std::nullopt;
  server_said_ += frame.size;
  if (server_said_ > kMaxServerSaid) {
    RefuseServer("the server sent too many bytes before the session began");
    co_return std::nullopt;
  }
  co_return Message{bytes.text()};
}

Task<MaybeMessage> Session::ReadClient(bool proof) {
  Frame frame;
  // The proof is not read until it is this client's turn.
  auto look = [&frame](std::string_view bytes) {
    Parse found = MessageParser{&frame}(bytes);
    return found.kind == Parse::kWhole ? Parse::Whole(0) : found;
  };
  View there = co_await d_.client.Frame(look, kHeaderSize);
  if (!there && frame.kind == Frame::Kind::kBad) {
    RefuseClient("the client's message is too long");
    co_return std::nullopt;
  }
  if (!there) co_return std::nullopt;
  if (proof) {
    const int32_t verdict = co_await d_.TryLogin();
    if (verdict < 0) co_return std::nullopt;
    if (verdict != RUM_OK) {
      RefuseByVerdict(verdict);
      co_return std::nullopt;
    }
  }
  View bytes = co_await d_.client.Read(frame.size);
  if (!bytes) co_return std::nullopt;
  Message message{bytes.text()};
  if (message.type() == 'X') {
    Close(RUM_CLOSE_CLIENT_GONE, {});
    co_return std::nullopt;
  }
  if (message.type() != 'p') {
    RefuseClient("the client sent another message than the answer that was due");
    co_return std::nullopt;
  }
  co_return message;
}

std::string Session::PeerOf(const Side& side) const {
  char text[128] = {};
  size_t size = d_.Peer(side, text, sizeof text);
  return {text, std::min(size, sizeof text - 1)};
}

}  // namespace rum::pgsql
