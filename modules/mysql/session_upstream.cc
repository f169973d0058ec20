// The half of a login that talks to the server: its greeting, our response, its verdict, and the
// farewell when a login breaks off.
#include <time.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "mysql/attributes.h"
#include "mysql/capabilities.h"
#include "mysql/session.h"

namespace rum::mysql {
namespace {

// Who breaks off a login that the client has left.
constexpr char kNobody[] = "rum_client_has_left";

constexpr size_t kMaxShownAuth = 250;

// Of a login, both sides' together. The numbers must not wrap: with 0 an answer would be a command.
constexpr uint8_t kPacketsMost = 200;

constexpr uint8_t kInitDbCommand = 2;

// Of one plugin, when the client has gone; none needs more than two.
constexpr unsigned kAnswersMost = 4;

}  // namespace

void Session::OnUpstreamOpen(uint32_t reason) {
  if (reason != 0) return;          // the session ends with it, and OnClose tells the client
  farewell_ = Farewell::kResponse;  // whoever wants the connection
  if (state_ != State::kAwaitConnect) return;
  char peer[128] = {};
  size_t size = host_.peer(handle_, RUM_UPSTREAM, peer, sizeof peer);
  upstream_.assign(peer, std::min(size, sizeof peer - 1));
  unix_upstream_ = upstream_.starts_with("unix");
  state_ = State::kAwaitGreeting;
}

int64_t Session::OnUpstreamData(Bytes bytes) {
  if (state_ != State::kAwaitGreeting && state_ != State::kAwaitVerdict &&
      state_ != State::kAwaitAnswer && state_ != State::kAwaitServerKey &&
      state_ != State::kAwaitCipher && state_ != State::kAwaitQuiet) {
    return 0;
  }
  Frame frame = ReadFrame(bytes, back_);
  if (frame.kind == Frame::Kind::kPartial) {
    WaitFor(RUM_UPSTREAM, frame.size);
    return 0;
  }
  if (state_ == State::kAwaitQuiet) {
    if (frame.kind != Frame::Kind::kWhole) {
      RefuseUnquiet();
      return 0;
    }
    TakeQuiet(frame.payload);
    return static_cast<int64_t>(frame.size);
  }
  if (frame.kind != Frame::Kind::kWhole) {
    Count(kServerFaults);
    if (state_ == State::kAwaitGreeting) farewell_ = Farewell::kNone;
    RefuseFor(RUM_CLOSE_UPSTREAM_PROTOCOL, frame.kind == Frame::Kind::kTooLong
                                               ? "the server's packet is too long"
                                               : "the server's packet is out of order");
    return 0;
  }
  if (back_ == kPacketsMost) {
    Count(kServerFaults);
    RefuseFor(RUM_CLOSE_UPSTREAM_PROTOCOL, "the login does not come to an end");
    return 0;
  }
  ++back_;
  if (state_ == State::kAwaitGreeting) {
    TakeGreeting(frame.payload);
  } else {
    TakeVerdict(frame.payload);
  }
  return static_cast<int64_t>(frame.size);
}

void Session::TakeGreeting(Bytes payload) {
  if (KindOfReply(payload) == ReplyKind::kError) return PassError(payload);
  Parsed<Greeting> greeting = ParseGreeting(payload);
  if (!greeting.ok()) {
    Count(kServerFaults);
    farewell_ = Farewell::kNone;
    return RefuseFor(RUM_CLOSE_UPSTREAM_PROTOCOL, greeting.why);
  }
  fleet_.Saw(view_, upstream_, greeting.value, std::nullopt, ::time(nullptr));
  no_plugin_ = NoPluginFor(greeting.value.version);
  if (client_left_) return RespondAsNobody();
  // What the client was promised and goes on to use in all that follows, and what the way of
  // logging in rests on, cannot be done without.
  uint64_t needed = kProtocol41 | kSecureConnection |
                    (response_.capabilities & (kDeprecateEof | kCompresses | kChangesWhatFollows));
  // Some take what a greeting of MariaDB says for granted, whatever they asked for.
  if (greeted_as_mariadb_) needed |= promised_ & kChangesWhatFollows;
  if (!rewriting_) needed |= kPluginAuth;
  uint64_t missing = needed & ~greeting.value.capabilities;
  if (missing != 0) {
    Count(kServerFaults);
    std::string names = NameCapabilities(missing);
    return RefuseAfterGreeting(ServerLacks(names), RUM_CLOSE_UNSUPPORTED,
                               "the server lacks " + names + RemedyFor(greeting.value));
  }
  upstream_greeting_ = std::move(greeting.value);
  const bool by_tls = WantsUpstreamTls();
  if (by_tls && (upstream_greeting_.capabilities & kSsl) == 0) {
    Count(kServerFaults);
    return Refuse(ErrorForReason(RUM_CLOSE_TLS), RUM_CLOSE_UNSUPPORTED,
                  "the server has no TLS, which --upstream-tls demands");
  }
  if (!PrepareResponse()) return;
  if (!by_tls) return Respond();
  asked_for_tls_ = true;
  outgoing_->capabilities |= kSsl;
  Send(RUM_UPSTREAM, BuildSslRequest(*outgoing_, back_++));
  if (host_.start_tls(handle_, RUM_UPSTREAM, nullptr, 0) != RUM_OK) {
    return RefuseFor(RUM_CLOSE_MODULE, "TLS to the server could not be begun");
  }
  // Until the handshake is over nothing can be said to the server.
  farewell_ = Farewell::kNone;
  state_ = State::kAwaitUpstreamTls;
}

std::string Session::RemedyFor(const Greeting& greeting) const {
  if (!config_.learns) return "; give the oldest server's --mysql-version";
  Server server;
  server.version = greeting.version;
  server.capabilities = greeting.capabilities;
  if (IsSupported(server)) return "; the next clients are promised less";
  return "; it is too old to be greeted for beside others: run a rum with its --mysql-version, or "
         "name it by -d";
}

// mirror: who came by TLS goes on by TLS where the server has it. What must not be read on a plain
// link is held back or encrypted when the client is to be asked. To a destination with TLS from the
// first byte on there is TLS already.
bool Session::WantsUpstreamTls() const {
  if (TlsActive(RUM_UPSTREAM)) return false;
  switch (TlsMode(RUM_UPSTREAM)) {
    case RUM_TLS_REQUIRE:
    case RUM_TLS_VERIFY:
      return true;
    case RUM_TLS_MIRROR:
      return TlsActive(RUM_CLIENT) && !unix_upstream_ &&
             (upstream_greeting_.capabilities & kSsl) != 0;
    default:
      return false;
  }
}

// In force toward the server: what the client uses, rum offered and the server has. Fields whose
// flag falls away are left out. All flags are chosen here: servers read the response behind an
// SSLRequest by the flags of that, and count one that does not fit them as an error of the address.
bool Session::PrepareResponse() {
  auto refuse = [this](const ServerError& error, uint32_t reason, std::string_view log_text) {
    RefuseAfterGreeting(error, reason, log_text);
    return false;
  };
  if (Compresses() && ExposedByChangeUser()) {
    return refuse(CannotCompress(), RUM_CLOSE_UNSUPPORTED,
                  "a COM_CHANGE_USER must be seen on this link, and the client compresses");
  }
  if (const char* why = rewriting_ ? nullptr : WhySystemUser()) {
    Count(kServerDenials);
    Refuse(Denied(), RUM_CLOSE_DENIED, why);
    return false;
  }
  mariadb_upstream_ =
      VersionOf(upstream_greeting_.version, upstream_greeting_.capabilities).mariadb;
  if (ServerCutsName()) return refuse(Denied(), RUM_CLOSE_DENIED, kCutName);
  const uint64_t in_force = response_.capabilities & upstream_greeting_.capabilities & ~kSsl;
  const bool puts_database_off = PutsDatabaseOff(response_.database, in_force);
  if (Compresses() && puts_database_off) {
    return refuse(CannotCompress(), RUM_CLOSE_UNSUPPORTED,
                  "the database can be chosen behind the login only, and the client compresses");
  }
  Response response;
  std::swap(response, response_);
  response_.capabilities = response.capabilities;  // kept, as the user is, for an ERR to come
  response_.user = std::exchange(response.user, sent_name_);
  response_.charset = response.charset;
  thread_id_ = upstream_greeting_.connection_id;
  upstream_nonce_ = upstream_greeting_.nonce;
  response.capabilities = in_force;
  if (rewriting_) {
    response.plugin = kNativePlugin;
  } else {
    // Clients that do not know of plugins may still understand the switch (mysqljs does).
    response.capabilities |= kPluginAuth;
    // The length lets the server log whether a password was used; the proof itself is worthless
    // there, or is the password.
    bool hidden = SendsPasswordFirst(response.plugin) || !ProvesSomething(response.auth);
    response.auth.assign(hidden ? 0 : std::min(response.auth.size(), kMaxShownAuth), '\0');
    response.plugin = no_plugin_;
  }
  if (puts_database_off) {
    database_ = std::move(response.database);
    response.capabilities &= ~uint64_t{kConnectWithDb};
  }
  upstream_greeting_ = {};
  outgoing_ = std::move(response);
  return true;
}

void Session::Respond() {
  Response response = std::move(*outgoing_);
  outgoing_.reset();
  if (rewriting_) {
    std::optional<Hash> token = MakeToken(*password_hash_, upstream_nonce_, *stored_);
    Wipe(&*password_hash_);
    if (!token) return RefuseFor(RUM_CLOSE_MODULE, "SHA1 failed");
    response.auth = AsText(*token);
    exchange_ = Exchange(PluginKind::kNative);
  }
  upstream_capabilities_ = response.capabilities;
  TellWhoTheClientIs(response.user, &response.attributes);
  Send(RUM_UPSTREAM, BuildResponse(response, back_++));
  farewell_ = Farewell::kAnswer;
  state_ = State::kAwaitVerdict;
}

bool Session::ServerCutsName() const {
  return !mariadb_upstream_ && response_.user.size() > kNameMySqlKeeps;
}

// A server that takes no database in the login is told of it behind. So is MariaDB where the name
// may be wrong in the client's character set: it counts that as an error of the address, which set
// that is depending on the server's options, too. Behind the login it is an error like others.
bool Session::PutsDatabaseOff(const std::string& name, uint64_t capabilities) const {
  if (name.empty()) return false;
  if ((capabilities & kConnectWithDb) == 0) return true;
  return mariadb_upstream_ &&
         std::any_of(name.begin(), name.end(), [](char c) { return (c & 0x80) != 0; });
}

// The server has let the client in, who does not know it yet.
void Session::ChooseDatabase() {
  back_ = 0;
  Send(RUM_UPSTREAM, PacketWriter().WriteU8(kInitDbCommand).WriteText(database_).Finish(back_++));
  database_.clear();
  farewell_ = Farewell::kQuit;
  state_ = State::kAwaitVerdict;
}

// Only where the client sends attributes, too: the server expects them again in a COM_CHANGE_USER,
// which comes from the client.
void Session::TellWhoTheClientIs(std::string_view user, std::string* attributes) const {
  if (!TellsClientFacts()) return;
  ClientPeer peer = FindClientPeer();
  *attributes = WithClientFacts(*attributes, {.ip = peer.host, .port = peer.port, .user = user});
}

void Session::TakeVerdict(Bytes payload) {
  ReplyKind kind = KindOfReply(payload);
  if (client_left_) {
    if (kind == ReplyKind::kError && answered_ > 0) NoteDenial();
    return TakeVerdictAlone(kind, payload);
  }
  if (kind == ReplyKind::kError) return PassError(payload);
  if (state_ == State::kAwaitServerKey) return TakeServerKey(payload);
  if (state_ != State::kAwaitVerdict) {
    Count(kServerFaults);
    return RefuseFor(RUM_CLOSE_UPSTREAM_PROTOCOL, "the server spoke when the client was due");
  }
  if (!ok_.empty() && kind != ReplyKind::kOk) {
    Count(kServerFaults);
    return RefuseFor(RUM_CLOSE_UPSTREAM_PROTOCOL,
                     "the server did not say whether it has the database");
  }
  state_ = State::kAwaitAnswer;
  switch (kind) {
    case ReplyKind::kOk:
      return TakeOk(payload);
    case ReplyKind::kSwitch:
    case ReplyKind::kNextFactor:
      return TakePluginRequest(payload);
    case ReplyKind::kOldSwitch:
      return Refuse(ServerWantsOldPassword(), RUM_CLOSE_UNSUPPORTED,
                    "the account's password is from before 4.1");
    case ReplyKind::kFastAuthOk:
      state_ = State::kAwaitVerdict;
      return PassToClient(payload);
    case ReplyKind::kMore:
    case ReplyKind::kError:
      return TakeMore(payload);
  }
}

void Session::TakeOk(Bytes payload) {
  // An account that needs no proof over a unix socket is one whose name is that of rum's own system
  // user (unix_socket, auth_socket): whoever comes through rum would be let in.
  if (unix_upstream_ && !rewriting_ && !switched_) {
    farewell_ = Farewell::kQuit;
    if (limits_) limits_->login_failed(handle_);
    Count(kServerDenials);
    return Refuse(Denied(), RUM_CLOSE_DENIED, "the server took rum's own system user for a proof");
  }
  if (ok_.empty() && !Confirmed()) return;
  if (!database_.empty()) {
    ok_ = AsText(payload);
    return ChooseDatabase();
  }
  PassOk(ok_.empty() ? payload : AsBytes(ok_));
  ok_.clear();
  if (!LetFlow()) {
    farewell_ = Farewell::kQuit;
    reported_ = true;
    return Close(RUM_CLOSE_MODULE, "the relay did not begin");
  }
  farewell_ = Farewell::kNone;
}

// Errors are written anew: one in place of a greeting has no SQL state, and clients would cut it
// out of the text.
void Session::PassError(Bytes payload) {
  farewell_ = ok_.empty() ? Farewell::kNone : Farewell::kQuit;
  Parsed<ServerError> parsed = ParseError(payload);
  if (!parsed.ok()) {
    Count(kServerFaults);
    return RefuseFor(RUM_CLOSE_UPSTREAM_PROTOCOL, parsed.why);
  }
  ServerError error = std::move(parsed.value);
  std::string code = std::to_string(error.code);
  if (error.state.empty()) error.state = StateOfError(error.code);
  // The server names the address it sees, which is rum's, and unknown users must read the same.
  if (error.code == 1045 || error.code == 1698) {
    if (switched_) NoteDenial();
    if (limits_) limits_->login_failed(handle_);
    error = Denied();
  }
  Note("error", code);
  Count(kServerDenials);
  if (logged_in_) {
    CountForFormerUser();
    return GoOnAsBefore(error);
  }
  std::string why = "the server refused the login with error " + code;
  if (state_ == State::kAwaitServerKey) why += " when it was asked for its RSA key";
  Refuse(error, RUM_CLOSE_UPSTREAM_DENIED, why);
}

// A change of the user takes no connection, and its denial a second of MariaDB.
void Session::NoteDenial() {
  if (!rewriting_ && !logged_in_) NotePace(Pace::Step::kDenial);
}

// A server that is left in the middle of a login counts that as an error of the proxy's address,
// and blocks the address after some. It counts neither a wrong password nor an unknown user: so a
// login whose client has gone is ended by one of those.
void Session::GoOnAlone() {
  client_left_ = true;
  if (farewell_ == Farewell::kQuit) return Close(RUM_CLOSE_CLIENT_GONE, {});  // it has let us in
  bool waits_for_us = state_ == State::kAwaitAnswer || state_ == State::kAwaitCipher;
  if (!waits_for_us || AnswerWrongly()) return;
  farewell_ = Farewell::kNone;
  Close(RUM_CLOSE_CLIENT_GONE, {});
}

void Session::RespondAsNobody() {
  Response nobody;
  nobody.capabilities = kProtocol41 | kSecureConnection | kPluginAuth;
  if (asked_for_tls_ && outgoing_) {  // the server reads it by the flags of the SSLRequest
    nobody.capabilities = outgoing_->capabilities;
    nobody.max_packet = outgoing_->max_packet;
    nobody.charset = outgoing_->charset;
    nobody.zstd_level = outgoing_->zstd_level;
  }
  nobody.user = kNobody;
  nobody.plugin = no_plugin_;  // so that it takes the steps of anybody
  if (back_ == 0) back_ = 1;
  Send(RUM_UPSTREAM, BuildResponse(nobody, back_++));
  exchange_ = Exchange(PluginKind::kNative);
  farewell_ = Farewell::kAnswer;
  state_ = State::kAwaitVerdict;
}

bool Session::AnswerWrongly() {
  std::optional<std::string> answer = WrongProof(exchange_.kind(), answered_++);
  if (!answer) return false;
  since_ = Now();
  Send(RUM_UPSTREAM, PacketWriter().WriteText(*answer).Finish(back_++));
  state_ = State::kAwaitVerdict;
  return true;
}

void Session::TakeVerdictAlone(ReplyKind kind, Bytes payload) {
  switch (kind) {
    case ReplyKind::kOk:  // an account without a password, or the right one
      if (proof_passed_ && limits_) limits_->confirm(handle_);
      farewell_ = Farewell::kQuit;
      return Close(RUM_CLOSE_CLIENT_GONE, {});
    case ReplyKind::kError:
    case ReplyKind::kOldSwitch:
      // A wrong guess may show before the server's last word, which the client need not wait for.
      if (proof_passed_ && limits_) limits_->login_failed(handle_);
      farewell_ = Farewell::kNone;
      Count(kFarewells);
      return Close(RUM_CLOSE_CLIENT_GONE, {});
    case ReplyKind::kFastAuthOk:
      return;
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
  if (answered_ < kAnswersMost && AnswerWrongly()) return;
  farewell_ = Farewell::kNone;
  Close(RUM_CLOSE_CLIENT_GONE, {});
}

// When rum itself ends the login, nothing can be waited for: all is said at once, and what the
// server will ask in between is guessed.
void Session::LeaveUpstream() {
  switch (farewell_) {
    case Farewell::kNone:
      return;
    case Farewell::kResponse: {
      RespondAsNobody();
      ++back_;  // the server's
      AnswerWrongly();
      break;
    }
    case Farewell::kAnswer: {
      // When the server is to speak, its packet takes the number in between.
      if (state_ == State::kAwaitVerdict || state_ == State::kAwaitServerKey) ++back_;
      AnswerWrongly();
      break;
    }
    case Farewell::kQuit:
      Send(RUM_UPSTREAM, PacketWriter().WriteU8(1).Finish(0));
      break;
  }
  farewell_ = Farewell::kNone;
  Count(kFarewells);
}

}  // namespace rum::mysql
