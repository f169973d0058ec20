// A login from top to bottom, in the order of the wire. Its steps are in session_client.cc (who the
// client is), session_response.cc (our response to the server), session_auth.cc (the password),
// session_watch.cc (after the login), session_take.cc and session_keep.cc (connections that serve
// several clients) and session_end.cc (refusals and how to leave a server).
#include "mysql/session.h"

#include <algorithm>
#include <utility>

#include "mysql/admission.h"
#include "mysql/capabilities.h"
#include "mysql/kill_target.h"
#include "mysql/reply.h"

namespace rum::mysql {
namespace {

using dialogue::Reason;
using dialogue::View;

// Packets of a login on both sides. Numbers must not wrap: an answer with 0 would be a command.
constexpr uint8_t kPacketsMost = 200;

constexpr uint8_t kInitDbCommand = 2;

}  // namespace

Session::Session(Dialogue& d, const Config& config, Worker& worker)
    : d_(d),
      config_(config),
      worker_(worker),
      pace_(worker.pace()),
      fleet_(*config.fleet),
      view_(worker.view()) {}

Session::~Session() {
  try {
    SayLastWords();  // after an exception; otherwise already done
  } catch (...) {    // out of memory
  }
  Wipe(&record_);
  if (stored_) Wipe(&*stored_);
  if (password_hash_) Wipe(&*password_hash_);
}

Script Login(Dialogue& d, const Config& config, Worker& worker) {
  Session session(d, config, worker);
  co_await session.Run();
  session.SayLastWords();
}

Script Session::Run() {
  if (!Greet()) co_return;
  if (!co_await ReadResponse()) co_return;  // who is the client?
  if (!co_await Route()) co_return;  // where does it go, and may it? With rewrite: the password?
  if (!co_await Connect()) co_return;
  Payload said;
  if (std::optional<std::string> kept = d_.Taken()) {
    said = co_await ChangeOver(*kept);
    if (said) said = co_await AnswerForClient(*said);
    if (!said && !renewed_) co_return;
  }
  if (!said) {
    if (!co_await MeetServer()) co_return;  // its greeting, TLS, our response
  }
  Payload ok = co_await Authenticate(said);  // server and client agree on the password
  if (!ok) co_return;
  if (!co_await Enter(*ok)) co_return;
  co_await Watch();
}

bool Session::Greet() {
  std::optional<Nonce> nonce = MakeNonce();
  if (!nonce) return Close(RUM_CLOSE_MODULE, "the kernel gave no random bytes");
  nonce_ = scramble_ = *nonce;
  Promise promise = PromiseNow(config_, view_.Look(fleet_));
  promised_ = promise.capabilities;
  greeted_as_mysql_ = !ReadVersion(promise.version).mariadb;
  connection_id_ = NextConnectionId();
  Greeting greeting;
  greeting.version = std::move(promise.version);
  greeting.connection_id = connection_id_;
  greeting.nonce = nonce_;
  greeting.capabilities = promised_;
  if (d_.TlsMode(d_.client) != RUM_TLS_OFF && !d_.TlsActive(d_.client)) {
    greeting.capabilities |= kSsl;
  }
  greeting.charset = promise.charset;
  greeting.plugin = std::move(promise.plugin);
  d_.client.Send(BuildGreeting(greeting));
  ++front_;
  reported_ = false;
  return true;
}

Task<bool> Session::ReadResponse() {
  const bool offers_tls = d_.TlsMode(d_.client) != RUM_TLS_OFF || d_.TlsActive(d_.client);
  for (;;) {
    Payload payload = co_await ReadClient(Proof::kPerhaps);
    // A client that requires TLS sends nothing if the greeting does not offer it.
    if (!payload && !offers_tls && d_.failed() == Reason(RUM_CLOSE_CLIENT_GONE)) {
      co_return Close(RUM_CLOSE_CLIENT_GONE,
                      "it left at the greeting, which offers no TLS (--tls): it may require TLS");
    }
    if (!payload) co_return false;
    switch (KindOfResponse(*payload, greeted_as_mysql_)) {
      case ResponseKind::kTooOld:
        co_return Refuse(ClientTooOld(false), RUM_CLOSE_UNSUPPORTED,
                         "the client is older than 4.1");
      case ResponseKind::kProtocol41:
        co_return TakeResponse(*payload);
      case ResponseKind::kSslRequest:
        if (!co_await StartClientTls()) co_return false;
    }
  }
}

// Bytes after the client's request belong to its TLS handshake and are never interpreted otherwise:
// they stay unconsumed, and rum gives them to the TLS engine.
Task<bool> Session::StartClientTls() {
  if (d_.TlsActive(d_.client)) {
    d_.Count(kClientFaults);
    co_return Refuse(BadHandshake(), RUM_CLOSE_CLIENT_PROTOCOL,
                     "the client requested TLS inside TLS");
  }
  reported_ = true;  // nothing can be sent during the TLS handshake
  Reason failed = co_await d_.client.StartTls();
  if (failed == Reason(RUM_CLOSE_UNSUPPORTED) && !d_.closed()) {
    Refuse(TlsNotOffered(), RUM_CLOSE_UNSUPPORTED, "the client asked for TLS");
  }
  if (failed) co_return false;
  reported_ = false;
  d_.Note("tls", "client");
  co_return true;
}

Task<bool> Session::Route() {
  const std::string& user = response_.user;
  since_ = d_.Now();
  // Also for an invalid name, for the log, and for an empty one: rum admits nobody before
  // identify(), to the default destination or any other.
  if (user.size() <= kMaxUser) d_.Identify(user);
  if (!HasName()) co_return co_await RefuseAsUnknown();
  if (!user.empty()) {  // no map has an empty name
    dialogue::Record record = co_await d_.Lookup(user);
    since_ = d_.Now();
    if (d_.closed()) co_return false;
    if (record.status() == dialogue::Record::kUnavailable) {
      co_return RefuseFor(RUM_CLOSE_MAP_UNAVAILABLE, "the map lookup failed");
    }
    if (record.status() == dialogue::Record::kFound) {
      co_return co_await AdmitKnown(AsBytes(record.value()));
    }
  }
  if (config_.unknown_to_default) co_return true;  // if there is a default, see Connect()
  co_return co_await RefuseAsUnknown();
}

Task<bool> Session::AdmitKnown(Bytes record) {
  if (!TakeRecord(record)) co_return false;
  if (RewritesForClient() && stored_) {
    rewriting_ = true;
    record_ = AsText(record);
    if (!co_await ProveToRum()) co_return false;
    // Only after the proof: guesses must not use up the user's limits.
    bool admitted = Admitted(AsBytes(record_));
    Wipe(&record_);
    if (admitted) co_return true;
  } else if (Admitted(record)) {
    co_return true;
  }
  co_return co_await RefuseByVerdict();
}

// Clients may start with another plugin than the greeting's; like a server, ask for ours then.
Task<bool> Session::ProveToRum() {
  if (ClientHas(kPluginAuth) && response_.plugin != kNativePlugin) {
    if (!SendOwnSwitch()) co_return false;
    Payload token = co_await ReadClient(Proof::kYes);
    if (!token) co_return false;
    with_password_ = ProvesSomething(AsText(*token));
    co_return JudgeToken(*token);
  }
  const int32_t verdict = co_await d_.TryLogin();
  if (verdict == RUM_OK) co_return JudgeToken(AsBytes(response_.auth));
  if (verdict < 0) co_return false;
  TakeVerdict(verdict, {});
  co_return RefuseAsVerdict();
}

Task<bool> Session::RefuseByVerdict() {
  if (!RefusalIsHidden()) co_return RefuseAsVerdict();
  // A client that has proved the password is refused at once, as for a wrong one.
  if (rewriting_) co_return Deny();
  co_return co_await RefuseAsUnknown();
}

// Unknown users see the steps and the error of a wrong password.
Task<bool> Session::RefuseAsUnknown() {
  known_ = false;
  if (RewritesForClient()) co_return co_await ProveToRum();  // against a hash that no password has
  const bool asked = co_await PretendToAsk();
  co_return asked&& Deny();
}

// Asks for the plugin that servers ask for, and takes as long as they do to reject the answer.
// True: send the refusal now.
Task<bool> Session::PretendToAsk() {
  // The time to the refusal would distinguish an unknown user from one that a server refuses.
  const bool goes_on = !logged_in_;
  d_.client.GoOnAfterEnd(goes_on);
  const bool kept = goes_on && SpendKept();
  if (!co_await Delay(kept ? Pace::Step::kKeptSwitch : Pace::Step::kSwitch)) co_return false;
  with_password_ = false;
  if (!d_.client.ended()) {
    if (!SendOwnSwitch()) co_return false;
    Payload token = co_await ReadClient(Proof::kYes);
    if (token) {
      with_password_ = ProvesSomething(AsText(*token));
    } else if (!goes_on || !d_.client.ended()) {
      co_return false;
    }
  }
  co_return co_await Delay(kept ? Pace::Step::kKeptDenial : Pace::Step::kDenial);
}

Task<bool> Session::Connect() {
  WantKept();
  auto connection = d_.Connect(destination_);
  Reason failed = connection.Begin();
  if (failed == Reason(RUM_CLOSE_NO_DESTINATION)) co_return co_await RefuseAsUnknown();
  if (failed == Reason(RUM_CLOSE_BAD_DESTINATION)) {
    co_return RefuseFor(failed.number(), "the map's destination is malformed");
  }
  if (failed == Reason(RUM_CLOSE_LIMIT)) {
    co_return RefuseFor(failed.number(), "the destination takes no more connections");
  }
  if (failed) co_return RefuseFor(RUM_CLOSE_MODULE, "cannot start the connection");
  d_.Note("auth", rewriting_ ? "rewrite" : "relay");
  // Only rum knows whether there is a default destination. It connects after this hook has
  // returned, and not if the session is closed by then: servers must not see unused connections,
  // and a refused client gets its answer at once.
  if (!known_ && !Admitted({})) {
    co_return RefusalIsHidden() ? Deny() : RefuseAsVerdict();
  }
  // Until the login is complete, a client that leaves does not end the server's connection.
  d_.client.GoOnAfterEnd(true);
  failed = co_await connection;
  if (failed) co_return false;
  farewell_ = Farewell::kResponse;
  char peer[128] = {};
  size_t size = d_.Peer(d_.upstream, peer, sizeof peer);
  upstream_.assign(peer, std::min(size, sizeof peer - 1));
  unix_upstream_ = upstream_.starts_with("unix");
  co_return true;
}

Task<bool> Session::MeetServer() {
  Payload greeting = co_await ReadServer();
  if (!greeting) co_return false;
  if (KindOfReply(*greeting) == ReplyKind::kError) co_return PassError(*greeting);
  if (!TakeGreeting(*greeting)) co_return false;
  if (!Left() && !PrepareResponse() && !Left()) co_return false;
  if (Left()) co_return co_await LeaveAsNobody();
  if (asked_for_tls_) {
    if (!co_await StartUpstreamTls()) co_return false;
    if (Left()) co_return co_await LeaveAsNobody();
  }
  co_return Respond();
}

Task<bool> Session::StartUpstreamTls() {
  SendToUpstream(BuildSslRequest(*outgoing_, back_++));
  farewell_ = Farewell::kNone;  // nothing can be sent before the TLS handshake is complete
  Reason failed = co_await d_.upstream.StartTls();
  if (failed) co_return false;
  farewell_ = Farewell::kResponse;
  co_return true;
}

// Passes the server's requests to the client, and its answers back, until the server has judged.
// Returns the server's OK. `said`: a packet of the server to begin with.
Task<Payload> Session::Authenticate(Payload said) {
  for (;;) {
    if (!said) said = co_await ReadServer();
    if (!said) co_return std::nullopt;
    if (Left()) {
      co_await GoOnAlone(said);
      co_return std::nullopt;
    }
    bool asked = false;
    switch (KindOfReply(*said)) {
      case ReplyKind::kOk:
        co_return said;
      case ReplyKind::kError:
        PassError(*said);
        break;
      case ReplyKind::kOldSwitch:
        Refuse(ServerWantsOldPassword(), RUM_CLOSE_UNSUPPORTED,
               "the account's password is from before 4.1");
        break;
      case ReplyKind::kFastAuthOk:
        PassToClient(*said);
        server_is_due_ = true;  // it needs no answer
        said.reset();
        continue;
      case ReplyKind::kSwitch:
      case ReplyKind::kNextFactor:
        asked = PassPluginRequest(*said);
        break;
      case ReplyKind::kMore:
        asked = PassMore(*said);
        break;
    }
    if (!asked) co_return std::nullopt;
    said.reset();
    if (!co_await PassAnswer()) co_return std::nullopt;
  }
}

// The server has admitted the user; the client does not know that yet.
Task<bool> Session::Enter(Bytes ok) {
  // An account that needs no proof over a unix socket is named like rum's own system user
  // (unix_socket, auth_socket): every client of rum would be admitted.
  if (unix_upstream_ && !rewriting_ && !switched_) {
    farewell_ = Farewell::kQuit;
    d_.LoginFailed();
    d_.Count(kServerDenials);
    co_return Refuse(Denied(), RUM_CLOSE_DENIED,
                     "the server accepted rum's own system user as a proof");
  }
  TakeVerdict(d_.Confirm(), {});
  if (verdict_ != RUM_OK) {
    farewell_ = Farewell::kQuit;
    co_return RefuseAsVerdict();
  }
  if (reused_ && !logged_in_) {
    d_.Count(kReusedLogins);
    d_.Note("reused", "yes");
  }
  if (database_.empty()) {
    PassOk(ok);
  } else {
    std::string kept(AsText(ok));
    if (!co_await ChooseDatabase()) co_return false;
    PassOk(AsBytes(kept));
  }
  if (LetFlow()) co_return true;
  farewell_ = Farewell::kQuit;
  reported_ = true;
  co_return Close(RUM_CLOSE_MODULE, "cannot start the relay");
}

Task<bool> Session::ChooseDatabase() {
  farewell_ = Farewell::kQuit;
  d_.client.GoOnAfterEnd(false);  // a server that has admitted us counts no error
  back_ = 0;
  SendToUpstream(PacketWriter().WriteU8(kInitDbCommand).WriteText(database_).Finish(back_++));
  database_.clear();
  Payload said = co_await ReadServer();
  if (!said) co_return false;
  const ReplyKind kind = KindOfReply(*said);
  if (kind == ReplyKind::kOk) co_return true;
  if (kind == ReplyKind::kError) co_return PassError(*said);
  d_.Count(kServerFaults);
  co_return RefuseFor(RUM_CLOSE_UPSTREAM_PROTOCOL,
                      "the server did not say whether it has the database");
}

// An attacker may begin many logins before the first one fails: rum checks the limit before a proof
// is read, and delays the proof until there is room.
Task<Payload> Session::ReadClient(Proof proof) {
  Frame frame;
  auto look = [this, &frame](std::string_view bytes) {
    frame = ReadFrame(AsBytes(bytes), front_);
    const bool partial = frame.kind == Frame::Kind::kPartial;
    return partial ? dialogue::Parse::Need(frame.size) : dialogue::Parse::Whole(0);
  };
  View there = co_await d_.client.Frame(look, kHeaderSize);
  if (!there) co_return std::nullopt;
  if (frame.kind != Frame::Kind::kWhole) {
    const bool out_of_order = frame.kind == Frame::Kind::kBadOrder;
    if (!out_of_order) ++front_;
    d_.Count(kClientFaults);
    Refuse(
        out_of_order ? OutOfOrder() : BadHandshake(), RUM_CLOSE_CLIENT_PROTOCOL,
        out_of_order ? "the client's packet is out of order" : "the client's packet is too long");
    co_return std::nullopt;
  }
  int32_t verdict = RUM_OK;
  if (proof == Proof::kYes) {
    verdict = co_await d_.TryLogin();
  } else if (d_.Blocked()) {
    verdict = RUM_REFUSED_BLOCKED;
  }
  if (verdict < 0) co_return std::nullopt;
  ++front_;
  if (verdict != RUM_OK) {
    TakeVerdict(verdict, {});
    RefuseAsVerdict();
    co_return std::nullopt;
  }
  View packet = co_await d_.client.Read(frame.size);
  if (!packet) co_return std::nullopt;
  co_return AsBytes(packet.text()).subspan(kHeaderSize);
}

Task<Payload> Session::ReadServer() {
  Frame frame;
  PacketParser parser{back_, &frame};
  View packet = co_await d_.upstream.Frame(parser, kHeaderSize);
  const char* fault = nullptr;
  if (frame.kind == Frame::Kind::kTooLong) fault = "the server's packet is too long";
  if (frame.kind == Frame::Kind::kBadOrder) fault = "the server's packet is out of order";
  if (packet && back_ == kPacketsMost) fault = "the login has too many packets";
  if (fault) {
    d_.Count(kServerFaults);
    if (farewell_ == Farewell::kResponse) farewell_ = Farewell::kNone;  // its greeting is at fault
    RefuseFor(RUM_CLOSE_UPSTREAM_PROTOCOL, fault);
    co_return std::nullopt;
  }
  if (!packet) co_return std::nullopt;
  ++back_;
  server_is_due_ = false;
  co_return frame.payload;
}

}  // namespace rum::mysql
