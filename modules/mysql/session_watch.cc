// What a session does after its login: watches the client's packets for a KILL, which names a
// connection by rum's id, and where it must for COM_CHANGE_USER, which it then leads like a login.
#include <algorithm>
#include <utility>

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

// After a rewritten login libmariadb proves the password with the nonce that rum gave, which the
// server never saw.
bool Session::MustWatchToTheEnd() const {
  return ExposedByChangeUser() || rewriting_ || config_.change_user != ChangeUserMode::kAllow;
}

// After the first login, and after each further one that was led. False: the host refuses.
bool Session::LetFlow() {
  if (logged_in_) {
    KillTable::OfProcess().Remove(connection_id_);
  } else {
    Count(rewriting_ ? kRewrittenLogins : kRelayedLogins);
    watched_to_the_end_ = MustWatchToTheEnd();
    if (stored_ && HasUpstream(kPluginAuth)) Wipe(&*stored_), stored_.reset();
  }
  logged_in_ = true;
  KillTable::OfProcess().Add(connection_id_, response_.user, upstream_, thread_id_);
  if (ClientHas(kCompress)) {  // what follows cannot be read
    if (host_.relay(handle_) != RUM_OK) return false;
    state_ = State::kRelaying;
    return true;
  }
  if (host_.relay_from(handle_, RUM_UPSTREAM) != RUM_OK) return false;
  state_ = State::kWatching;
  return true;
}

int64_t Session::WatchClient(Bytes bytes) {
  ClientPacket packet = commands_.Next(bytes);
  if (packet.kind == ClientPacket::Kind::kPartial) {
    WaitFor(RUM_CLIENT, packet.size);
    return 0;
  }
  auto size = static_cast<int64_t>(packet.size);
  if (packet.kind == ClientPacket::Kind::kMayKill && TranslateKill(packet.payload)) {
    StopWatching();
    return size;
  }
  if (watched_to_the_end_ && packet.kind == ClientPacket::Kind::kChangeUser) {
    TakeChangeUser(packet.payload);
    return size;
  }
  if (watched_to_the_end_ && packet.kind == ClientPacket::Kind::kTooLong) {
    front_ = 1;
    Count(kClientFaults);
    farewell_ = Farewell::kQuit;
    Refuse(BadHandshake(), RUM_CLOSE_CLIENT_PROTOCOL, "the client's packet is too long");
    return 0;
  }
  host_.forward(handle_, RUM_CLIENT, packet.size);
  StopWatching();
  return 0;
}

// What is not forwarded yet goes on all the same.
void Session::StopWatching() {
  if (watched_to_the_end_ || ++watched_packets_ < kWatchedPackets) return;
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
  Send(RUM_UPSTREAM, BuildKill(payload, *kill, *thread_id));
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
  bool same = change.user == response_.user;
  if (config_.change_user == ChangeUserMode::kDeny ||
      (config_.change_user == ChangeUserMode::kSame && !same)) {
    Count(kDeniedUserChanges);
    return Refuse(AccessDenied(change.user, ClientHost(), with_password_), RUM_CLOSE_DENIED,
                  "--mysql-change-user forbids this change of the user");
  }
  // The end of the server has been passed on: there is nobody to ask, and no way to answer.
  if (host_.take_back(handle_, RUM_UPSTREAM) != RUM_OK) {
    farewell_ = Farewell::kNone;
    told_ = true;
    return Close(RUM_CLOSE_UPSTREAM, {});
  }
  Count(kUserChanges);
  Note("changed_to", std::string_view(change.user).substr(0, kMaxNote));
  if (HasUpstream(kPluginAuth)) {
    bool clear = SendsPasswordFirst(change.plugin);
    change.auth.assign(clear ? 0 : change.auth.size(), '\0');
    change.plugin = kNoPlugin;
    if (!change.charset) change.charset = response_.charset;
    rewriting_ = false;
  } else if (same && stored_) {
    // A client that cannot be asked anew has used the nonce that rum gave it.
    std::optional<Hash> hash = CheckToken(AsBytes(change.auth), nonce_, *stored_);
    std::optional<Hash> token = hash ? MakeToken(*hash, upstream_nonce_, *stored_) : std::nullopt;
    if (hash) Wipe(&*hash);
    if (token) change.auth = AsText(*token);
  }
  response_.user = change.user;
  exchange_ = Exchange(rewriting_ ? PluginKind::kNative : PluginKind::kClear);
  switched_ = false;
  since_ = host_.now();
  Send(RUM_UPSTREAM, BuildChangeUser(change, upstream_capabilities_));
  farewell_ = Farewell::kAnswer;
  state_ = State::kAwaitVerdict;
}

}  // namespace rum::mysql
