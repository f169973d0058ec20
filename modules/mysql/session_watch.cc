// Handles a session after its login: watches the client's packets for a KILL, which names a
// connection by rum's id, and if necessary for COM_CHANGE_USER, which it handles like a login.
#include <algorithm>
#include <utility>

#include "mysql/admission.h"
#include "mysql/session.h"

namespace rum::mysql {
namespace {

using dialogue::Reason;
using dialogue::View;

// A KILL is the first command on a connection made for it, or follows what its driver sends at the
// start.
constexpr unsigned kWatchedPackets = 3;
constexpr size_t kMaxNote = 256;
constexpr uint16_t kParseError = 1064;

}  // namespace

// A COM_CHANGE_USER is a login, with the same dangers: a password that the client sends because its
// own link is safe, and rum's own system user as a proof.
bool Session::ExposedByChangeUser(Links links) const {
  return unix_upstream_ || (IsSafe(links.client) && !IsSafe(links.server));
}

// For a new user of mysql_native_password, libmariadb uses the nonce that it has kept, whatever the
// server sends. After a rewritten login that is rum's, as after a plugin with nonces of its own
// (ed25519, parsec). Only the new user's hash helps; a user without a secret in the map is assumed
// to come from a map without secrets.
bool Session::KeepsForeignNonce() const {
  return rewriting_ ||
         (mariadb_upstream_ && scramble_ != upstream_nonce_ && (stored_ || public_key_));
}

// A client without plugins omits a field that the server requires if rum, to relay the login,
// announced plugins.
bool Session::MustWatchToTheEnd() const {
  bool plugins_are_rums = HasUpstream(kPluginAuth) && !ClientHas(kPluginAuth);
  return ExposedByChangeUser(links()) || KeepsForeignNonce() || plugins_are_rums ||
         TellsClientFacts() || config_.change_user != ChangeUserMode::kAllow;
}

// After the first login, and after each handled change of user. False: the host refuses.
bool Session::LetFlow() {
  if (logged_in_) {
    HideFromKills();
  } else {
    d_.Count(rewriting_ ? kRewrittenLogins : kRelayedLogins);
    watched_to_the_end_ = MustWatchToTheEnd() && !Compresses();  // few packets are readable then
    if (watched_to_the_end_) login_user_ = response_.user;
    keeps_ = MayKeep();
  }
  logged_in_ = true;
  d_.client.GoOnAfterEnd(false);
  if (stored_) {
    Wipe(&*stored_);
    stored_.reset();
  }
  ShowToKills();
  // Clients that close properly send COM_QUIT. A server that reads a TLS close from any other could
  // take it for unread input and continue the statement.
  d_.EndIsCut(d_.client);
  if (d_.RelayFrom(d_.upstream) != RUM_OK) return false;
  flows_ = true;
  farewell_ = Farewell::kNone;
  return true;
}

// Reads the client's packets until enough were seen. Runs of packets that pass unchanged are
// forwarded together; a packet that needs more is handled after those before it are forwarded.
Script Session::Watch() {
  for (size_t wanted = 1; watches_on_;) {
    View bytes = co_await d_.client.Peek(std::exchange(wanted, 1));
    if (!bytes && bytes.reason() == Reason(RUM_CLOSE_LIMIT) && !d_.closed()) {
      RefuseFor(RUM_CLOSE_LIMIT, "a packet of the login does not fit the window");
    }
    if (!bytes) co_return;  // what the client has sent, and its end, pass unchanged
    if (keeps_ && IsLeave(AsBytes(bytes.text()))) {
      const size_t size = bytes.size();
      const bool left = co_await HasLeft(size);
      if (left) {
        co_await Retire();
        co_return;
      }
      d_.client.Forward(size);
      continue;
    }
    ClientPacket packet;
    if (size_t plain = CountPlain(AsBytes(bytes.text()), &packet); plain > 0) {
      d_.client.Forward(plain);
      continue;
    }
    switch (packet.kind) {
      case ClientPacket::Kind::kPartial:
        wanted = packet.size;
        break;
      case ClientPacket::Kind::kMayKill: {
        std::string whole(bytes.text(), 0, packet.size);
        const bool passed = co_await PassKill(packet, std::move(whole));
        if (!passed) co_return;
        watches_on_ = WatchesOn();
        break;
      }
      case ClientPacket::Kind::kChangeUser:
        if (!co_await ChangeUserBy(packet)) co_return;
        break;
      case ClientPacket::Kind::kOpaque:
      case ClientPacket::Kind::kTooLong:
        front_ = 1;
        d_.Count(kClientFaults);
        farewell_ = Farewell::kQuit;
        Refuse(BadHandshake(), RUM_CLOSE_CLIENT_PROTOCOL, "the client's packet is too long");
        co_return;
    }
  }
  if (keeps_) {
    co_await WaitForLeave();
  } else {
    d_.Relay();  // also passes on what is not forwarded yet
  }
}

// Number of bytes that pass unchanged: many small packets cost one step. 0: the first packet,
// `next`, needs handling.
size_t Session::CountPlain(Bytes bytes, ClientPacket* next) {
  size_t plain = 0;
  while (watches_on_ && (plain == 0 || plain < bytes.size())) {
    CommandReader before = commands_;
    Bytes rest = bytes.subspan(plain);
    *next = Compresses() ? ReadCompressed(rest) : commands_.Next(rest);
    if (!GoesOnAsItIs(*next)) {
      if (plain > 0) commands_ = before;
      break;
    }
    plain += next->size;
    watches_on_ = WatchesOn();
  }
  return plain;
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

bool Session::WatchesOn() { return watched_to_the_end_ || ++watched_packets_ < kWatchedPackets; }

// Handles a change of user like a login. True: the session continues, as the new user or as before.
Task<bool> Session::ChangeUserBy(ClientPacket packet) {
  flows_ = false;
  const bool taken = TakeChangeUser(packet.payload);
  d_.client.Consume(packet.size);
  if (!taken) co_return false;
  // The server's end of file has been passed on: it cannot be asked, and the client cannot be
  // answered.
  if (d_.TakeBack(d_.upstream) != RUM_OK) {
    farewell_ = Farewell::kNone;
    reported_ = true;
    co_return Close(RUM_CLOSE_UPSTREAM, {});
  }
  if (!co_await AdmitNewUser()) co_return flows_;
  if (!co_await AskForQuiet()) co_return false;
  SendChangeUser();
  Payload ok = co_await Authenticate();
  if (ok) co_return co_await Enter(*ok);
  if (!denial_) co_return false;
  // An admitted user that is not confirmed is released by that.
  if (former_user_ != response_.user) AdmitAnew(former_user_, {});
  co_return GoOnAsBefore(*denial_);
}

bool Session::TakeChangeUser(Bytes payload) {
  front_ = back_ = 1;
  farewell_ = Farewell::kQuit;
  Parsed<ChangeUser> parsed = ParseChangeUser(payload, response_.capabilities);
  if (!parsed.ok()) {
    d_.Count(kClientFaults);
    return Refuse(BadHandshake(), RUM_CLOSE_CLIENT_PROTOCOL, parsed.why);
  }
  // As in MayKeep(): even after a rewritten login the client may be asked with the server's nonce.
  if (KeepsNonce() && !ClientLinkIsPrivate()) keeps_ = false;
  ChangeUser change = std::move(parsed.value);
  with_password_ = ProvesSomething(change.auth);
  // The name is in this character set. Without it the server would use that of the session, which
  // may have changed.
  // be another by now.
  if (!change.charset) change.charset = response_.charset;
  former_user_ = response_.user;
  TakeName(change.user, *change.charset, NameIn::kChangeUser);
  change.user = sent_name_;
  bool same = HasName() && former_user_ == response_.user;
  if (config_.change_user == ChangeUserMode::kDeny ||
      (config_.change_user == ChangeUserMode::kSame && !same)) {
    d_.Count(kDeniedUserChanges);
    return Refuse(Denied(), RUM_CLOSE_DENIED,
                  "--mysql-change-user forbids this change of the user");
  }
  if (const char* why = WhySystemUser()) {
    d_.Count(kDeniedUserChanges);
    return Refuse(Denied(), RUM_CLOSE_DENIED, why);
  }
  change_ = std::move(change);
  return true;
}

// Checks rules and limits of the new user before the server is asked, as in a login. False: the
// session continues as before, or ends.
Task<bool> Session::AdmitNewUser() {
  const std::string& user = response_.user;
  if (ServerCutsName()) name_fault_ = kCutName;
  if (!HasName()) co_return co_await RefuseChange();
  if (user.empty()) {  // no map has an empty name
    TakeVerdict(AdmitAnew(user, {}), {});
  } else {
    dialogue::Record record = co_await d_.Lookup(user);
    if (d_.closed()) co_return false;
    // An unreadable rule may be a restriction.
    if (record.status() == dialogue::Record::kUnavailable && dialogue::host.limits) {
      d_.Note("change_refused", "the map lookup failed");
      GoOnAsBefore(ErrorForReason(RUM_CLOSE_MAP_UNAVAILABLE));
      co_return false;
    }
    TakeVerdict(AdmitAnew(user, AsBytes(record.value())), AsBytes(record.value()));
    if (verdict_ == RUM_OK && record.status() == dialogue::Record::kFound) {
      KeepSecretOf(AsBytes(record.value()));
    }
  }
  if (verdict_ != RUM_OK) co_return co_await RefuseChange();
  co_return true;
}

// A client that is not yet admitted must not use a nonce that the server does not know. And only
// users of this server may: a hostile server could choose both nonces, one for which a proof was
// seen elsewhere and one that another server has just sent, and so obtain a proof for that other
// server.
void Session::KeepSecretOf(Bytes value) {
  if (scramble_ == upstream_nonce_) return;
  Parsed<Record> record = ParseRecord(value);
  if (record.ok() && record.value.destination == destination_) stored_ = record.value.secret;
}

// From here on, the server's bytes count as its side of a login. A client that did not wait for the
// answers to earlier commands could supply such bytes itself. So rum first sends the server a
// command that it cannot understand, with a random mark: the server's error repeats the mark, and
// must be the very next packet. Servers answer so in every state of a session.
Task<bool> Session::AskForQuiet() {
  std::optional<std::string> mark = MakeMark();
  if (!mark) co_return RefuseFor(RUM_CLOSE_MODULE, "the kernel gave no random bytes");
  d_.upstream.Send(
      BuildQuery("rum " + *mark + ": the user is about to change", HasUpstream(kQueryAttributes)));
  Frame frame;
  PacketParser parser{back_, &frame};
  View packet = co_await d_.upstream.Frame(parser, kHeaderSize);
  if (!packet && frame.kind == Frame::Kind::kPartial) co_return false;
  const bool quiet = packet && RepeatsMark(frame.payload, *mark);
  co_return quiet || RefuseUnquiet();
}

std::optional<std::string> Session::MakeMark() {
  std::optional<Nonce> nonce = MakeNonce();
  if (!nonce) return std::nullopt;
  std::string mark = "m";
  for (uint8_t byte : *nonce) {
    constexpr char kHex[] = "0123456789abcdef";
    mark.append({kHex[byte >> 4], kHex[byte & 15]});
  }
  return mark;
}

bool Session::RepeatsMark(Bytes payload, std::string_view mark) {
  if (KindOfReply(payload) != ReplyKind::kError) return false;
  if (ParseError(payload).value.code != kParseError) return false;
  std::string text(AsText(payload));
  std::erase(text, '\0');  // the text may be in UTF-16
  return text.find(mark) != text.npos;
}

bool Session::RefuseUnquiet() {
  d_.Count(kClientFaults);
  return Refuse(OutOfOrder(), RUM_CLOSE_CLIENT_PROTOCOL,
                "the client changes the user before the server has answered all commands");
}

// The server is not involved. A user who breaks a rule sees the error of a wrong password, which
// the server would have sent.
Task<bool> Session::RefuseChange() {
  d_.Count(kDeniedUserChanges);
  d_.Note("change_refused", HasName() ? TextForVerdict(verdict_) : name_fault_);
  if (HasName() && !RefusalIsHidden()) {
    if (!disabled_text_.empty()) d_.LoginFailed();  // not counted; the next failure is
    GoOnAsBefore(VerdictError());
    co_return false;
  }
  bool answered = false;
  if (HasUpstream(kPluginAuth)) {
    answered = co_await PretendToAsk();
  } else {
    answered = co_await Delay(Pace::Step::kDenial);
  }
  if (!answered) co_return false;
  d_.LoginFailed();
  GoOnAsBefore(Denied());
  co_return false;
}

// rum checks and counts the user of the last identify(), and the log names that one, too: always
// the user of the login.
int32_t Session::AdmitAnew(std::string_view user, Bytes record) {
  if (!dialogue::host.limits) return RUM_OK;
  int32_t verdict = d_.Identify(user);
  if (verdict == RUM_OK) verdict = d_.Admit(AsText(record));
  d_.Identify(login_user_);
  return verdict;
}

void Session::SendChangeUser() {
  d_.Count(kUserChanges);
  d_.Note("changed_to", std::string_view(response_.user).substr(0, kMaxNote));
  ChangeUser change = std::move(*change_);
  change_.reset();
  if (HasUpstream(kPluginAuth)) {
    // The server requests the proof again, with its own nonce.
    change.auth.assign(SendsPasswordFirst(change.plugin) ? 0 : change.auth.size(), '\0');
    change.plugin = no_plugin_;
    rewriting_ = false;
  } else if (std::optional<Hash> token = TranslateToken(AsBytes(change.auth), upstream_nonce_)) {
    change.auth = AsText(*token);
  }
  AddClientFacts(change.user, &change.attributes);
  exchange_ = Exchange(rewriting_ ? PluginKind::kNative : PluginKind::kClear);
  switched_ = false;
  denial_.reset();
  since_ = d_.Now();
  SendToUpstream(BuildChangeUser(change, upstream_capabilities_));
  farewell_ = Farewell::kAnswer;
}

std::optional<Hash> Session::TranslateToken(Bytes token, const Nonce& server_nonce) const {
  if (!logged_in_ || !stored_) return std::nullopt;
  std::optional<Hash> hash = CheckToken(token, scramble_, *stored_);
  if (!hash) return std::nullopt;
  std::optional<Hash> translated = MakeToken(*hash, server_nonce, *stored_);
  Wipe(&*hash);
  return translated;
}

// MariaDB continues with the previous user; other servers close the connection. If rum refuses the
// user, the session always continues.
bool Session::GoOnAsBefore(const ServerError& error) {
  d_.client.Send(BuildError(error, front_));
  response_.user = std::move(former_user_);
  name_fault_ = nullptr;
  change_.reset();
  TakeVerdict(RUM_OK, {});
  if (LetFlow()) return true;
  reported_ = true;
  return Close(RUM_CLOSE_MODULE, "cannot start the relay");
}

const char* Session::WhySystemUser() const {
  if (!unix_upstream_ || response_.user.empty()) return nullptr;
  if (!config_.socket_users) {
    return "over a unix socket the server may accept rum's system user as a proof, and its names "
           "are unknown: set --mysql-socket-user";
  }
  const std::vector<std::string>& names = *config_.socket_users;
  bool found = std::find(names.begin(), names.end(), response_.user) != names.end();
  return found ? "over a unix socket the server may accept rum's own system user as a proof"
               : nullptr;
}

}  // namespace rum::mysql
