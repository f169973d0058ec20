// What a session does after its login: watches the client's packets for a KILL, which names a
// connection by rum's id, and where it must for COM_CHANGE_USER, which it then leads like a login.
#include <algorithm>
#include <utility>

#include "mysql/admission.h"
#include "mysql/kill_table.h"
#include "mysql/session.h"

namespace rum::mysql {
namespace {

// A KILL is the first that a client says on a connection made for it, or comes behind what its
// driver sends at the start.
constexpr unsigned kWatchedPackets = 3;
constexpr size_t kMaxNote = 256;

}  // namespace

// A COM_CHANGE_USER is a login, and what must not pass in a login must not pass in it: a password
// that the client sends because its own link is safe, and rum's own system user as a proof.
bool Session::ExposedByChangeUser() const {
  return unix_upstream_ || (IsSafe(links().client) && !IsSafe(links().server));
}

// libmariadb proves the password of a new user of mysql_native_password with the nonce that it
// keeps, whatever the server says. That is rum's after a rewritten login, and after one by a plugin
// with nonces of its own (ed25519, parsec). Only the new user's hash helps: who logs in without a
// secret in the map is taken for one of a map that has none.
bool Session::KeepsForeignNonce() const {
  return rewriting_ ||
         (mariadb_upstream_ && scramble_ != upstream_nonce_ && (stored_ || public_key_));
}

// A client that does not know of plugins leaves out a field which the server demands when rum, to
// relay the login, said that it does.
bool Session::MustWatchToTheEnd() const {
  bool plugins_are_rums = HasUpstream(kPluginAuth) && !ClientHas(kPluginAuth);
  return ExposedByChangeUser() || KeepsForeignNonce() || plugins_are_rums || TellsClientFacts() ||
         config_.change_user != ChangeUserMode::kAllow;
}

// After the first login, and after each further one that was led. False: the host refuses.
bool Session::LetFlow() {
  if (logged_in_) {
    KillTable::OfProcess().Remove(connection_id_);
  } else {
    Count(rewriting_ ? kRewrittenLogins : kRelayedLogins);
    watched_to_the_end_ = MustWatchToTheEnd() && !Compresses();  // little of that can be read
    if (watched_to_the_end_) login_user_ = response_.user;
  }
  logged_in_ = true;
  if (stored_) {
    Wipe(&*stored_);
    stored_.reset();
  }
  KillTable::OfProcess().Add(connection_id_, response_.user, upstream_, thread_id_);
  // Who leaves properly says COM_QUIT. A server that reads TLS's good-bye of any other would take
  // it for something left to read, and go on with the statement.
  if (tls_) tls_->end_is_cut(handle_, RUM_CLIENT);
  if (host_.relay_from(handle_, RUM_UPSTREAM) != RUM_OK) return false;
  state_ = State::kWatching;
  return true;
}

// What goes on as it is goes on in one piece: many small packets cost no more than one. A packet
// that needs more than that is looked at when those before it have gone on.
int64_t Session::WatchClient(Bytes bytes) {
  size_t passed = 0;
  bool watching = true;
  while (watching && (passed == 0 || passed < bytes.size())) {
    CommandReader before = commands_;
    Bytes rest = bytes.subspan(passed);
    ClientPacket packet = Compresses() ? ReadCompressed(rest) : commands_.Next(rest);
    if (!GoesOnAsItIs(packet)) {
      if (passed == 0) return TakeWatched(packet);
      commands_ = before;
      break;
    }
    passed += packet.size;
    watching = WatchesOn();
  }
  host_.forward(handle_, RUM_CLIENT, passed);
  if (!watching) StopWatching();
  return 0;
}

bool Session::GoesOnAsItIs(const ClientPacket& packet) const {
  switch (packet.kind) {
    case ClientPacket::Kind::kPartial:
      return false;
    case ClientPacket::Kind::kOpaque:
      return true;
    case ClientPacket::Kind::kMayKill:
      return !FindKill(packet.payload);
    case ClientPacket::Kind::kChangeUser:
    case ClientPacket::Kind::kTooLong:
      return !watched_to_the_end_;
  }
  return true;
}

// How much of it was consumed.
int64_t Session::TakeWatched(const ClientPacket& packet) {
  switch (packet.kind) {
    case ClientPacket::Kind::kPartial:
      WaitFor(RUM_CLIENT, packet.size);
      return 0;
    case ClientPacket::Kind::kMayKill: {
      bool translated = TranslateKill(packet.payload);
      if (!translated) host_.forward(handle_, RUM_CLIENT, packet.size);
      if (!WatchesOn()) StopWatching();
      return translated ? static_cast<int64_t>(packet.size) : 0;
    }
    case ClientPacket::Kind::kChangeUser:
      TakeChangeUser(packet.payload);
      return static_cast<int64_t>(packet.size);
    case ClientPacket::Kind::kOpaque:
    case ClientPacket::Kind::kTooLong:
      break;
  }
  front_ = 1;
  Count(kClientFaults);
  farewell_ = Farewell::kQuit;
  Refuse(BadHandshake(), RUM_CLOSE_CLIENT_PROTOCOL, "the client's packet is too long");
  return 0;
}

bool Session::WatchesOn() { return watched_to_the_end_ || ++watched_packets_ < kWatchedPackets; }

// What is not forwarded yet goes on all the same.
void Session::StopWatching() {
  if (host_.relay(handle_) == RUM_OK) state_ = State::kRelaying;
}

// Only to a session of the same user on the same server: another id, and one that is not rum's, is
// the server's to judge.
bool Session::TranslateKill(Bytes payload) {
  std::optional<Kill> kill = FindKill(payload);
  if (!kill) return false;
  std::optional<uint32_t> thread_id =
      KillTable::OfProcess().Find(kill->id, response_.user, upstream_);
  if (!thread_id) return false;
  Count(kKills);
  std::string packet = BuildKill(payload, *kill, *thread_id);
  Send(RUM_UPSTREAM, Compresses() ? WrapCompressed(packet) : packet);
  return true;
}

void Session::TakeChangeUser(Bytes payload) {
  front_ = back_ = 1;
  farewell_ = Farewell::kQuit;
  Parsed<ChangeUser> parsed = ParseChangeUser(payload, response_.capabilities);
  if (!parsed.ok()) {
    Count(kClientFaults);
    return Refuse(BadHandshake(), RUM_CLOSE_CLIENT_PROTOCOL, parsed.why);
  }
  ChangeUser change = std::move(parsed.value);
  with_password_ = ProvesSomething(change.auth);
  // The name is in this character set. Without one the server would take its session's, which may
  // be another by now.
  if (!change.charset) change.charset = response_.charset;
  former_user_ = response_.user;
  TakeName(change.user, *change.charset, NameIn::kChangeUser);
  change.user = sent_name_;
  bool same = HasName() && former_user_ == response_.user;
  if (config_.change_user == ChangeUserMode::kDeny ||
      (config_.change_user == ChangeUserMode::kSame && !same)) {
    Count(kDeniedUserChanges);
    return Refuse(Denied(), RUM_CLOSE_DENIED,
                  "--mysql-change-user forbids this change of the user");
  }
  if (const char* why = WhySystemUser()) {
    Count(kDeniedUserChanges);
    return Refuse(Denied(), RUM_CLOSE_DENIED, why);
  }
  // The end of the server has been passed on: there is nobody to ask, and no way to answer.
  if (host_.take_back(handle_, RUM_UPSTREAM) != RUM_OK) {
    farewell_ = Farewell::kNone;
    reported_ = true;
    return Close(RUM_CLOSE_UPSTREAM, {});
  }
  change_ = std::move(change);
  LookUpNewUser();
}

void Session::LookUpNewUser() {
  const std::string& user = response_.user;
  if (ServerCutsName()) name_fault_ = kCutName;
  if (!HasName()) return RefuseChange();
  if (user.empty()) return JudgeChange(RUM_NOT_FOUND, {});  // no map has it
  int32_t status = host_.lookup(handle_, user.data(), user.size());
  if (status != RUM_OK) return JudgeChange(status, {});
  state_ = State::kAwaitChangeMap;
}

// The rules and limits of the new user are looked at before the server is asked, as in a login.
void Session::JudgeChange(int32_t status, Bytes value) {
  if (limits_) {
    bool unknown = status == RUM_NOT_FOUND || status == RUM_E_UNSUPPORTED;
    if (status != RUM_FOUND && !unknown) {  // what cannot be read may be a restriction
      Note("change_refused", "the map could not be asked");
      return GoOnAsBefore(ErrorForReason(RUM_CLOSE_MAP_UNAVAILABLE));
    }
    verdict_ = AdmitAnew(response_.user, value);
    if (verdict_ != RUM_OK) return RefuseChange();
  }
  // Only then may the client use a nonce that the server does not know. And only for users of this
  // server: both nonces may be of its choice, one that a proof was seen for elsewhere, and one that
  // another server has just sent. Who owns it would have a proof made for that other server.
  if (status == RUM_FOUND && scramble_ != upstream_nonce_) {
    Parsed<Record> record = ParseRecord(value);
    if (record.ok() && record.value.destination == destination_) stored_ = record.value.secret;
  }
  AskForQuiet();
}

// What the server sends from here on is taken for its side of a login. A client that has not waited
// for the answers to earlier commands could have bytes of its own choice taken for that. So the
// server is asked what it cannot understand, with a mark in it that nobody else knows: its error
// repeats the mark, and must be the very next that it sends. It says that in all states of a
// session.
void Session::AskForQuiet() {
  std::optional<Nonce> nonce = MakeNonce();
  if (!nonce) return RefuseFor(RUM_CLOSE_MODULE, "the kernel gave no random bytes");
  mark_ = "m";
  for (uint8_t byte : *nonce) {
    constexpr char kHex[] = "0123456789abcdef";
    mark_.append({kHex[byte >> 4], kHex[byte & 15]});
  }
  Send(RUM_UPSTREAM,
       BuildQuery("rum " + mark_ + ": the user is about to change", HasUpstream(kQueryAttributes)));
  state_ = State::kAwaitQuiet;
}

void Session::TakeQuiet(Bytes payload) {
  std::string text(AsText(payload));
  std::erase(text, '\0');  // the text may be in UTF-16
  if (KindOfReply(payload) != ReplyKind::kError || text.find(mark_) == text.npos) {
    return RefuseUnquiet();
  }
  back_ = 1;
  SendChangeUser();
}

void Session::RefuseUnquiet() {
  Count(kClientFaults);
  Refuse(OutOfOrder(), RUM_CLOSE_CLIENT_PROTOCOL,
         "the client changes the user before the server has answered all it was asked");
}

// The server knows nothing of it. Who breaks a rule sees what a wrong password sees, which the
// server would have asked for.
void Session::RefuseChange() {
  Count(kDeniedUserChanges);
  Note("change_refused", HasName() ? TextForVerdict(verdict_) : name_fault_);
  if (HasName() && !LooksLikeAWrongPassword(verdict_)) {
    return GoOnAsBefore(ErrorForVerdict(verdict_, response_.user));
  }
  if (HasUpstream(kPluginAuth)) return DelayAs(Pace::Step::kSwitch, State::kDelaySwitch);
  DelayAs(Pace::Step::kDenial, State::kDelayDenial);
}

// rum judges and counts the user that it was told last, and the log names that one, too: the user
// of the login, all along.
int32_t Session::AdmitAnew(std::string_view user, Bytes record) {
  int32_t verdict = host_.identify(handle_, user.data(), user.size());
  if (verdict == RUM_OK) verdict = limits_->admit(handle_, record.data(), record.size());
  host_.identify(handle_, login_user_.data(), login_user_.size());
  return verdict;
}

// The server has refused a change that rum admitted. What is not confirmed is forgotten by that.
void Session::CountForFormerUser() {
  if (limits_ && former_user_ != response_.user) AdmitAnew(former_user_, {});
}

void Session::SendChangeUser() {
  Count(kUserChanges);
  Note("changed_to", std::string_view(response_.user).substr(0, kMaxNote));
  ChangeUser change = std::move(*change_);
  change_.reset();
  if (HasUpstream(kPluginAuth)) {
    // The server asks for the proof anew, with its own nonce.
    change.auth.assign(SendsPasswordFirst(change.plugin) ? 0 : change.auth.size(), '\0');
    change.plugin = no_plugin_;
    rewriting_ = false;
  } else if (std::optional<Hash> token = TranslateToken(AsBytes(change.auth), upstream_nonce_)) {
    change.auth = AsText(*token);
  }
  TellWhoTheClientIs(change.user, &change.attributes);
  exchange_ = Exchange(rewriting_ ? PluginKind::kNative : PluginKind::kClear);
  switched_ = false;
  since_ = Now();
  Send(RUM_UPSTREAM, BuildChangeUser(change, upstream_capabilities_));
  farewell_ = Farewell::kAnswer;
  state_ = State::kAwaitVerdict;
}

std::optional<Hash> Session::TranslateToken(Bytes token, const Nonce& server_nonce) const {
  if (!logged_in_ || !stored_) return std::nullopt;
  std::optional<Hash> hash = CheckToken(token, scramble_, *stored_);
  if (!hash) return std::nullopt;
  std::optional<Hash> translated = MakeToken(*hash, server_nonce, *stored_);
  Wipe(&*hash);
  return translated;
}

// MariaDB goes on with the user that there was; a server that does not closes the connection
// itself. Whom rum refuses goes on in any case.
void Session::GoOnAsBefore(const ServerError& error) {
  Send(RUM_CLIENT, BuildError(error, front_));
  response_.user = std::move(former_user_);
  name_fault_ = nullptr;
  change_.reset();
  verdict_ = RUM_OK;
  if (!LetFlow()) {
    reported_ = true;
    return Close(RUM_CLOSE_MODULE, "the relay did not begin");
  }
  farewell_ = Farewell::kNone;
}

const char* Session::WhySystemUser() const {
  if (!unix_upstream_ || response_.user.empty()) return nullptr;
  if (!config_.socket_users) {
    return "over a unix socket the server may take rum's system user for a proof, and no name of "
           "it "
           "is known: give --mysql-socket-user";
  }
  const std::vector<std::string>& names = *config_.socket_users;
  bool found = std::find(names.begin(), names.end(), response_.user) != names.end();
  return found ? "over a unix socket the server may take rum's own system user for a proof"
               : nullptr;
}

}  // namespace rum::mysql
