// What a session does after its login: watches the client's packets for a KILL, which names a
// connection by rum's id, and where it must for COM_CHANGE_USER, which it then leads like a login.
#include <algorithm>
#include <utility>

#include "mysql/admission.h"
#include "mysql/kill_table.h"
#include "mysql/session.h"

namespace rum::mysql {
namespace {

using dialogue::Reason;
using dialogue::View;

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
    was_killed_ |= KillTable::OfProcess().Remove(connection_id_);
  } else {
    d_.Count(rewriting_ ? kRewrittenLogins : kRelayedLogins);
    watched_to_the_end_ = MustWatchToTheEnd() && !Compresses();  // little of that can be read
    if (watched_to_the_end_) login_user_ = response_.user;
    keeps_ = MayKeep();
  }
  logged_in_ = true;
  d_.client.GoOnAfterEnd(false);
  if (stored_) {
    Wipe(&*stored_);
    stored_.reset();
  }
  d_.AtClose([](uint64_t id) { KillTable::OfProcess().Remove(static_cast<uint32_t>(id)); },
             connection_id_);
  KillTable::OfProcess().Add(connection_id_, response_.user, upstream_, thread_id_);
  // Who leaves properly says COM_QUIT. A server that reads TLS's good-bye of any other would take
  // it for something left to read, and go on with the statement.
  d_.EndIsCut(d_.client);
  if (d_.RelayFrom(d_.upstream) != RUM_OK) return false;
  flows_ = true;
  farewell_ = Farewell::kNone;
  return true;
}

// Sees the client's packets until enough were. What goes on as it is goes on in one piece; a packet
// that needs more than that is looked at when those before it have gone on.
Script Session::Watch() {
  for (size_t wanted = 1; watches_on_;) {
    View bytes = co_await d_.client.Peek(std::exchange(wanted, 1));
    if (!bytes && bytes.reason() == Reason(RUM_CLOSE_LIMIT) && !d_.closed()) {
      RefuseFor(RUM_CLOSE_LIMIT, "a packet of the login does not fit the window");
    }
    if (!bytes) co_return;  // what the client has sent, and its end, go on as they are
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
      case ClientPacket::Kind::kMayKill:
        if (TranslateKill(packet.payload)) {
          d_.client.Consume(packet.size);
        } else {
          d_.client.Forward(packet.size);
        }
        watches_on_ = WatchesOn();
        break;
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
    d_.Relay();  // what is not forwarded yet goes on all the same
  }
}

// How many bytes go on as they are: many small packets cost no more than one. 0: the first packet,
// `next`, does not.
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

// Only to a session of the same user on the same server: another id, and one that is not rum's, is
// the server's to judge.
bool Session::TranslateKill(Bytes payload) {
  std::optional<Kill> kill = FindKill(payload);
  if (!kill) return false;
  std::optional<uint32_t> thread_id =
      KillTable::OfProcess().Find(kill->id, response_.user, upstream_);
  if (!thread_id) return false;
  d_.Count(kKills);
  std::string packet = BuildKill(payload, *kill, *thread_id);
  d_.upstream.Send(Compresses() ? WrapCompressed(packet) : packet);
  return true;
}

// Leads a change of the user like a login. True: the session goes on, as the new user or as before.
Task<bool> Session::ChangeUserBy(ClientPacket packet) {
  flows_ = false;
  const bool taken = TakeChangeUser(packet.payload);
  d_.client.Consume(packet.size);
  if (!taken) co_return false;
  // The end of the server has been passed on: there is nobody to ask, and no way to answer.
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
  // What rum admitted and is not confirmed is forgotten by that.
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

// The rules and limits of the new user are looked at before the server is asked, as in a login.
// False: the session goes on as before, or ends.
Task<bool> Session::AdmitNewUser() {
  const std::string& user = response_.user;
  if (ServerCutsName()) name_fault_ = kCutName;
  if (!HasName()) co_return co_await RefuseChange();
  if (user.empty()) {  // no map has that
    verdict_ = AdmitAnew(user, {});
  } else {
    dialogue::Record record = co_await d_.Lookup(user);
    if (d_.closed()) co_return false;
    // What cannot be read may be a restriction.
    if (record.status() == dialogue::Record::kUnavailable && dialogue::host.limits) {
      d_.Note("change_refused", "the map could not be asked");
      GoOnAsBefore(ErrorForReason(RUM_CLOSE_MAP_UNAVAILABLE));
      co_return false;
    }
    verdict_ = AdmitAnew(user, AsBytes(record.value()));
    if (verdict_ == RUM_OK && record.status() == dialogue::Record::kFound) {
      KeepSecretOf(AsBytes(record.value()));
    }
  }
  if (verdict_ != RUM_OK) co_return co_await RefuseChange();
  co_return true;
}

// Only once it is admitted may the client use a nonce that the server does not know. And only for
// users of this server: both nonces may be of its choice, one that a proof was seen for elsewhere,
// and one that another server has just sent. Who owns it would have a proof made for that other
// server.
void Session::KeepSecretOf(Bytes value) {
  if (scramble_ == upstream_nonce_) return;
  Parsed<Record> record = ParseRecord(value);
  if (record.ok() && record.value.destination == destination_) stored_ = record.value.secret;
}

// What the server sends from here on is taken for its side of a login. A client that has not waited
// for the answers to earlier commands could have bytes of its own choice taken for that. So the
// server is asked what it cannot understand, with a mark in it that nobody else knows: its error
// repeats the mark, and must be the very next that it sends. It says that in all states of a
// session.
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
  std::string text(AsText(payload));
  std::erase(text, '\0');  // the text may be in UTF-16
  return text.find(mark) != text.npos;
}

bool Session::RefuseUnquiet() {
  d_.Count(kClientFaults);
  return Refuse(OutOfOrder(), RUM_CLOSE_CLIENT_PROTOCOL,
                "the client changes the user before the server has answered all it was asked");
}

// The server knows nothing of it. Who breaks a rule sees what a wrong password sees, which the
// server would have asked for.
Task<bool> Session::RefuseChange() {
  d_.Count(kDeniedUserChanges);
  d_.Note("change_refused", HasName() ? TextForVerdict(verdict_) : name_fault_);
  if (HasName() && !LooksLikeAWrongPassword(verdict_)) {
    GoOnAsBefore(ErrorForVerdict(verdict_, response_.user));
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

// rum judges and counts the user that it was told last, and the log names that one, too: the user
// of the login, all along.
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

// MariaDB goes on with the user that there was; a server that does not closes the connection
// itself. Whom rum refuses goes on in any case.
bool Session::GoOnAsBefore(const ServerError& error) {
  d_.client.Send(BuildError(error, front_));
  response_.user = std::move(former_user_);
  name_fault_ = nullptr;
  change_.reset();
  verdict_ = RUM_OK;
  if (LetFlow()) return true;
  reported_ = true;
  return Close(RUM_CLOSE_MODULE, "the relay did not begin");
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
