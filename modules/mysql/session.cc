// The half of a login that talks to the client, and the choice of the way to go on.
#include "mysql/session.h"

#include <algorithm>

#include "mysql/admission.h"

namespace rum::mysql {

Session::Session(const rum_host& host, rum_session* handle, const Config& config, Pace* pace,
                 Fleet::View& view)
    : host_(host),
      tls_(host.extension ? static_cast<const rum_tls*>(host.extension(RUM_TLS_1)) : nullptr),
      limits_(host.extension ? static_cast<const rum_limits*>(host.extension(RUM_LIMITS_1))
                             : nullptr),
      clock_(host.extension ? static_cast<const rum_clock*>(host.extension(RUM_CLOCK_1)) : nullptr),
      handle_(handle),
      config_(config),
      pace_(*pace),
      fleet_(*config.fleet),
      view_(view) {}

Session::~Session() {
  Wipe(&record_);
  if (stored_) Wipe(&*stored_);
  if (password_hash_) Wipe(&*password_hash_);
}

bool Session::Open(uint32_t connection_id) {
  std::optional<Nonce> nonce = MakeNonce();
  if (!nonce) return false;
  nonce_ = scramble_ = *nonce;
  Promise promise = PromiseNow(config_, view_.Look(fleet_));
  promised_ = promise.capabilities;
  greeted_as_mysql_ = !ReadVersion(promise.version).mariadb;
  Greeting greeting;
  greeting.version = std::move(promise.version);
  greeting.connection_id = connection_id_ = connection_id;
  greeting.nonce = nonce_;
  greeting.capabilities = promised_;
  if (TlsMode(RUM_CLIENT) != RUM_TLS_OFF && !TlsActive(RUM_CLIENT)) greeting.capabilities |= kSsl;
  greeting.charset = promise.charset;
  greeting.plugin = std::move(promise.plugin);
  Send(RUM_CLIENT, BuildGreeting(greeting));
  ++front_;
  return true;
}

int64_t Session::OnClientData(Bytes bytes) {
  if (state_ == State::kWatching) return WatchClient(bytes);
  // What a client sends too early stays where it is, and is passed on after the login.
  if (state_ != State::kAwaitResponse && state_ != State::kAwaitToken &&
      state_ != State::kAwaitAnswer && state_ != State::kAwaitCipher) {
    return 0;
  }
  Frame frame = ReadFrame(bytes, front_);
  switch (frame.kind) {
    case Frame::Kind::kPartial:
      WaitFor(RUM_CLIENT, frame.size);
      return 0;
    case Frame::Kind::kBadOrder:
      Count(kClientFaults);
      Refuse(OutOfOrder(), RUM_CLOSE_CLIENT_PROTOCOL, "the client's packet is out of order");
      return 0;
    case Frame::Kind::kTooLong:
      ++front_;
      Count(kClientFaults);
      Refuse(BadHandshake(), RUM_CLOSE_CLIENT_PROTOCOL, "the client's packet is too long");
      return 0;
    case Frame::Kind::kWhole:
      break;
  }
  // A guesser may have begun many logins before the first of them failed.
  const int32_t verdict = MayProve();
  if (verdict == RUM_E_AGAIN) return 0;
  ++front_;
  if (verdict != RUM_OK) {
    verdict_ = verdict;
    RefuseAsVerdict();
    return 0;
  }
  if (state_ == State::kAwaitResponse) {
    TakeResponse(frame.payload);
  } else if (state_ == State::kAwaitToken) {
    TakeToken(frame.payload);
  } else if (state_ == State::kAwaitCipher) {
    TakeCipher(frame.payload);
  } else {
    TakeAnswer(frame.payload);
  }
  return static_cast<int64_t>(frame.size);
}

void Session::TakeResponse(Bytes payload) {
  switch (KindOfResponse(payload, greeted_as_mysql_)) {
    case ResponseKind::kTooOld:
      return Refuse(ClientTooOld(false), RUM_CLOSE_UNSUPPORTED, "the client is older than 4.1");
    case ResponseKind::kSslRequest:
      return BeginClientTls();
    case ResponseKind::kProtocol41:
      break;
  }
  Parsed<Response> parsed = ParseResponse(payload, promised_);
  if (!parsed.ok()) {
    Count(kClientFaults);
    return Refuse(BadHandshake(), RUM_CLOSE_CLIENT_PROTOCOL, parsed.why);
  }
  response_ = std::move(parsed.value);
  TakeName(response_.user, response_.charset, NameIn::kResponse);
  if (std::string_view name = CharsetOfNoClient(response_.charset); !name.empty()) {
    Count(kClientFaults);
    return Refuse(CharsetNotForClients(name), RUM_CLOSE_CLIENT_PROTOCOL,
                  "the client asks for a character set that no client may use");
  }
  // Some clients set flags that were not offered to them, and do not mean it.
  greeted_as_mariadb_ = promised_ >> 32 && !ClientHas(kLongPassword);
  response_.capabilities &= promised_;
  with_password_ = ProvesSomething(response_.auth);
  if (!ClientHas(kProtocol41 | kSecureConnection)) {
    return Refuse(ClientTooOld(true), RUM_CLOSE_UNSUPPORTED,
                  "the client knows only passwords from before 4.1");
  }
  // A unix socket does not leave the machine; servers count it as secure as well.
  unix_client_ = ClientHost() == "localhost";
  if (TlsMode(RUM_CLIENT) == RUM_TLS_REQUIRE && !TlsActive(RUM_CLIENT) && !unix_client_) {
    return Refuse(TlsRequired(), RUM_CLOSE_DENIED, "the client came without TLS");
  }
  LookUpUser();
}

// What the client sent behind its request is the beginning of its TLS handshake, and is never read
// as anything else: it stays unconsumed, and rum gives it to the TLS engine.
void Session::BeginClientTls() {
  if (TlsActive(RUM_CLIENT)) {
    Count(kClientFaults);
    return Refuse(BadHandshake(), RUM_CLOSE_CLIENT_PROTOCOL, "TLS inside TLS");
  }
  if (host_.start_tls(handle_, RUM_CLIENT, nullptr, 0) != RUM_OK) {
    return Refuse(TlsNotOffered(), RUM_CLOSE_UNSUPPORTED, "the client asked for TLS");
  }
  state_ = State::kAwaitTls;
}

void Session::OnTlsOpen(uint32_t side, int32_t status) {
  if (status != RUM_OK) return;  // rum ends the session
  if (side == RUM_CLIENT && state_ == State::kAwaitTls) {
    state_ = State::kAwaitResponse;
    Note("tls", "client");
  } else if (side == RUM_UPSTREAM && state_ == State::kAwaitUpstreamTls) {
    farewell_ = Farewell::kResponse;
    client_left_ ? RespondAsNobody() : Respond();
  }
}

// A client may be what sends a name that is none; it is refused as an unknown user is.
bool Session::TakeName(std::string_view received, uint16_t charset, NameIn in) {
  Parsed<AccountName> account = FoldAccountName(received, charset, in);
  name_fault_ = account.why;
  if (account.ok()) {
    sent_name_ = std::move(account.value.sent);
    response_.user = std::move(account.value.name);
  } else {
    sent_name_ = response_.user = std::string(received);
  }
  return account.ok();
}

void Session::LookUpUser() {
  const std::string& user = response_.user;
  since_ = Now();
  if (!HasName()) {
    if (user.size() <= kMaxUser) host_.identify(handle_, user.data(), user.size());  // for the log
    return RefuseAsUnknown();
  }
  // The empty name as well: rum lets nobody in, to the default destination or elsewhere, of whom it
  // was not told.
  host_.identify(handle_, user.data(), user.size());
  if (user.empty()) return GoOnUnknown();  // no map has it
  int32_t status = host_.lookup(handle_, user.data(), user.size());
  if (status == RUM_OK) {
    state_ = State::kAwaitMap;
  } else {
    OnLookedUp(status, {});
  }
}

void Session::OnLookedUp(int32_t status, Bytes value) {
  if (state_ == State::kAwaitChangeMap) return JudgeChange(status, value);
  if (state_ != State::kAwaitMap && state_ != State::kAwaitResponse) return;
  since_ = Now();
  // Unsupported: no map was asked for, and so everybody is unknown to it.
  if (status == RUM_NOT_FOUND || status == RUM_E_UNSUPPORTED) return GoOnUnknown();
  if (status != RUM_FOUND) {
    return RefuseFor(RUM_CLOSE_MAP_UNAVAILABLE, "the map could not be asked");
  }
  GoOnKnown(value);
}

void Session::GoOnKnown(Bytes value) {
  Parsed<Record> record = ParseRecord(value);
  if (!record.ok()) return RefuseFor(RUM_CLOSE_BAD_DESTINATION, record.why);
  known_ = true;
  stored_ = record.value.secret;
  public_key_ = std::move(record.value.public_key);
  destination_ = record.value.destination;
  if (RewritesForClient() && stored_) {
    rewriting_ = true;
    record_ = AsText(value);
    return DemandToken();
  }
  if (Admitted(value)) Connect(destination_);
}

void Session::GoOnUnknown() {
  // Only rum knows whether there is a default destination. It connects when this hook has returned,
  // and not at all if the session is closed by then.
  if (config_.unknown_to_default && Connect({})) {
    Admitted({});
    return;
  }
  RefuseAsUnknown();
}

void Session::RefuseAsUnknown() {
  known_ = false;
  if (RewritesForClient()) return DemandToken();
  DelayAs(Pace::Step::kSwitch, State::kDelaySwitch);
}

bool Session::Admitted(Bytes record) {
  if (state_ == State::kClosed) return false;
  if (!limits_) return true;
  verdict_ = limits_->admit(handle_, record.data(), record.size());
  if (verdict_ == RUM_OK && rewriting_) verdict_ = limits_->confirm(handle_);  // rum saw the proof
  if (verdict_ == RUM_OK) return true;
  if (LooksLikeAWrongPassword(verdict_)) {
    // Who has proved the password gets the answer at once, as for a wrong one. So must who is to be
    // connected already: a server must not see a connection that nobody uses.
    rewriting_ || state_ == State::kAwaitConnect ? Deny() : RefuseAsUnknown();
    return false;
  }
  RefuseAsVerdict();
  return false;
}

bool Session::Confirmed() {
  if (limits_) verdict_ = limits_->confirm(handle_);
  if (verdict_ == RUM_OK) return true;
  farewell_ = Farewell::kQuit;
  RefuseAsVerdict();
  return false;
}

void Session::RefuseAsVerdict() {
  Refuse(ErrorForVerdict(verdict_, response_.user), ReasonForVerdict(verdict_),
         TextForVerdict(verdict_));
}

bool Session::RewritesForClient() const {
  switch (config_.auth) {
    case AuthMode::kRelay:
      return false;
    case AuthMode::kRewrite:
      return true;
    case AuthMode::kAuto:
      break;
  }
  return !ClientHas(kPluginAuth);
}

// A client may begin with another plugin than the greeting's; as a server, ask it then for ours.
void Session::DemandToken() {
  if (ClientHas(kPluginAuth) && response_.plugin != kNativePlugin) return SendOwnSwitch();
  state_ = State::kAwaitTurn;
  const int32_t verdict = MayProve();
  if (verdict == RUM_OK) return JudgeToken(response_.auth);
  if (verdict == RUM_E_AGAIN) return;
  verdict_ = verdict;
  RefuseAsVerdict();
}

// The response is a proof only where rum judges it, which is not known before the map has answered.
int32_t Session::MayProve() {
  if (!limits_) return RUM_OK;
  if (state_ != State::kAwaitResponse) return limits_->try_login(handle_);
  return limits_->blocked(handle_) == 1 ? RUM_REFUSED_BLOCKED : RUM_OK;
}

void Session::SendOwnSwitch() {
  std::optional<Nonce> nonce = MakeNonce();
  if (!nonce) return RefuseFor(RUM_CLOSE_MODULE, "the kernel gave no random bytes");
  nonce_ = *nonce;
  if (!logged_in_) scramble_ = nonce_;  // in a change of the user clients keep what they had
  Send(RUM_CLIENT, BuildNativeSwitch(nonce_, front_++));
  state_ = State::kAwaitToken;
  WaitFor(RUM_CLIENT, kHeaderSize);
}

void Session::TakeToken(Bytes payload) {
  with_password_ = ProvesSomething(AsText(payload));
  // In a change of the user it is the server that finds a wrong password.
  if (!logged_in_ && (known_ || RewritesForClient())) return JudgeToken(AsText(payload));
  DelayAs(Pace::Step::kDenial, State::kDelayDenial);
}

// Unknown users take the same steps, against a hash that no password has.
void Session::JudgeToken(std::string_view token) {
  password_hash_ = CheckToken(AsBytes(token), nonce_, stored_.value_or(Hash{}));
  if (!known_ || !password_hash_) return Deny();
  // Only now, so that a guess costs the user none of the limits.
  bool admitted = Admitted(AsBytes(record_));
  Wipe(&record_);
  if (admitted) Connect(destination_);
}

uint64_t Session::Now() const { return clock_ ? clock_->now() : host_.now() * 1000; }

void Session::DelayAs(Pace::Step step, State state) {
  state_ = state;
  // Who breaks a rule, or is refused in a change of the user, is compared with others of the
  // server.
  const std::string* there = logged_in_ || !destination_.empty() ? &destination_ : nullptr;
  uint64_t wait = pace_.Shorten(pace_.Pick(step, response_.user, there));
  due_ = Now() + wait;
  timer_ = wait == 0 ? 0
           : clock_  ? clock_->timer(handle_, wait)
                     : host_.timer(handle_, wait / 1000);
  if (timer_ == 0) OnTimeout(0);
}

void Session::NotePace(Pace::Step step) {
  pace_.Add(step, known_ ? response_.user : std::string_view(), destination_, Now() - since_);
}

void Session::OnTimeout(uint64_t ticket) {
  if (ticket != timer_) return;
  if (ticket) {
    const uint64_t now = Now();
    pace_.TimerWasLate(now - std::min(now, due_));
  }
  if (state_ == State::kDelaySwitch) {
    return client_left_ ? DelayAs(Pace::Step::kDenial, State::kDelayDenial) : SendOwnSwitch();
  }
  if (state_ == State::kDelayDenial) return Deny();
}

void Session::Deny() {
  if (limits_ && (!client_left_ || with_password_)) limits_->login_failed(handle_);
  if (client_left_) return Close(RUM_CLOSE_CLIENT_GONE, {});
  if (logged_in_) return GoOnAsBefore(Denied());
  if (verdict_ != RUM_OK) {
    return Refuse(Denied(), ReasonForVerdict(verdict_), TextForVerdict(verdict_));
  }
  Count(known_ ? kWrongPasswords : kUnknownUsers);
  if (!HasName()) return Refuse(Denied(), RUM_CLOSE_DENIED, name_fault_);
  uint32_t reason = RUM_CLOSE_DENIED;
  if (!known_ && config_.unknown_to_default) reason = RUM_CLOSE_NO_DESTINATION;
  Refuse(Denied(), reason, known_ ? "wrong password" : "the map does not know the user");
}

// False only when there is no default destination.
bool Session::Connect(std::string_view destination) {
  switch (host_.connect(handle_, destination.data(), destination.size())) {
    case RUM_OK:
      state_ = State::kAwaitConnect;
      Note("auth", rewriting_ ? "rewrite" : "relay");
      return true;
    case RUM_E_UNSUPPORTED:
      if (destination.empty()) return false;
      [[fallthrough]];
    case RUM_E_ARGUMENT:
      RefuseFor(RUM_CLOSE_BAD_DESTINATION, "the map's destination is written wrong");
      return true;
    case RUM_E_LIMIT:
      RefuseFor(RUM_CLOSE_LIMIT, "the destination takes no more connections");
      return true;
    default:
      RefuseFor(RUM_CLOSE_MODULE, "the connection could not be begun");
      return true;
  }
}

int32_t Session::OnSideEnd(uint32_t side) {
  if (side == RUM_UPSTREAM) {
    farewell_ = Farewell::kNone;
    return RUM_END;
  }
  switch (state_) {
    case State::kAwaitConnect:
    case State::kAwaitGreeting:
    case State::kAwaitUpstreamTls:
    case State::kAwaitVerdict:
    case State::kAwaitServerKey:
    case State::kAwaitAnswer:
    case State::kAwaitCipher:
      if (logged_in_) return RUM_END;  // a change of the user: servers count nothing
      GoOnAlone();
      return RUM_KEEP;
    case State::kDelaySwitch:
    case State::kAwaitToken:
    case State::kDelayDenial:
      // How long the end takes would tell an unknown user from one whom a server denies.
      if (logged_in_ || RewritesForClient()) return RUM_END;
      client_left_ = true;
      if (state_ != State::kDelayDenial) with_password_ = false;  // nothing was answered
      if (state_ == State::kAwaitToken) DelayAs(Pace::Step::kDenial, State::kDelayDenial);
      return RUM_KEEP;
    default:
      return RUM_END;
  }
}

void Session::OnClose(uint32_t reason) {
  // Where in what flows rum ended it nobody knows: nothing can be said there.
  if (relaying() || state_ == State::kWatching) return;
  // Who has seen that a guess was wrong may just wait for rum to end the login.
  const bool client_is_due = state_ == State::kAwaitAnswer || state_ == State::kAwaitCipher;
  if (reason == RUM_CLOSE_LOGIN_TIMEOUT && client_is_due && proof_passed_ && limits_) {
    limits_->login_failed(handle_);
  }
  bool broken = reason == RUM_CLOSE_UPSTREAM_GONE || reason == RUM_CLOSE_UPSTREAM_RESET;
  if (broken) farewell_ = Farewell::kNone;
  LeaveUpstream();
  // In the middle of a TLS handshake nothing can be said.
  bool left = reason == RUM_CLOSE_CLIENT_GONE || reason == RUM_CLOSE_CLIENT_RESET || client_left_ ||
              state_ == State::kAwaitTls;
  if (!reported_ && !left) Send(RUM_CLIENT, BuildError(ErrorForReason(reason), front_));
  state_ = State::kClosed;
}

Session::ClientPeer Session::FindClientPeer() const {
  char text[128] = {};
  size_t size = host_.peer(handle_, RUM_CLIENT, text, sizeof text);
  std::string_view peer(text, std::min(size, sizeof text - 1));
  if (peer.starts_with("unix")) return {.host = "localhost", .port = {}};
  size_t colon = peer.rfind(':');
  std::string_view host = peer.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  std::string_view port = colon == peer.npos ? std::string_view() : peer.substr(colon + 1);
  return {.host = std::string(host), .port = std::string(port)};
}

ServerError Session::Denied() const {
  return AccessDenied(sent_name_, ClientHost(), with_password_);
}

// A side that is not there is noticed by rum, which ends the session.
void Session::Send(uint32_t side, std::string_view packet) {
  host_.send(handle_, side, packet.data(), packet.size());
}

void Session::PassToClient(Bytes payload) {
  PacketWriter packet;
  Send(RUM_CLIENT, packet.WriteBytes(payload).Finish(front_++));
}

// In two pieces: the payload may be a password, of which the module makes no copy.
void Session::PassToUpstream(Bytes payload) {
  Send(RUM_UPSTREAM, BuildHeader(payload.size(), back_++));
  Send(RUM_UPSTREAM, AsText(payload));
}

void Session::WaitFor(uint32_t side, size_t size) {
  if (host_.need(handle_, side, size) == RUM_E_LIMIT) {
    RefuseFor(RUM_CLOSE_LIMIT, "a packet of the login does not fit the window");
  }
}

void Session::Note(const char* key, std::string_view value) {
  host_.note(handle_, key, value.data(), value.size());
}

void Session::Count(Metric metric) { host_.metric_add(handle_, metric, 1); }

void Session::Refuse(const ServerError& error, uint32_t reason, std::string_view log_text) {
  if (!client_left_) Send(RUM_CLIENT, BuildError(error, front_));
  reported_ = true;
  Close(reason, log_text);
}

void Session::RefuseFor(uint32_t reason, std::string_view log_text) {
  Refuse(ErrorForReason(reason), reason, log_text);
}

// All at once, as Refuse() says it, would do where the plugin that the server asks nobody for is
// the native one. It may be that of any account, and a wrong guess counts as an error of the
// address.
void Session::RefuseAfterGreeting(const ServerError& error, uint32_t reason,
                                  std::string_view log_text) {
  Send(RUM_CLIENT, BuildError(error, front_));
  reported_ = client_left_ = true;
  refused_for_ = reason;
  refused_text_ = log_text;
  RespondAsNobody();
}

void Session::Close(uint32_t reason, std::string_view log_text) {
  if (refused_for_ && reason == RUM_CLOSE_CLIENT_GONE) {
    reason = refused_for_;
    log_text = refused_text_;
  }
  LeaveUpstream();
  state_ = State::kClosed;
  host_.close(handle_, reason, log_text.data(), log_text.size());
}

}  // namespace rum::mysql
