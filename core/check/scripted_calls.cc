// The calls of rum_host on a session: performs what the module asks for, and checks it by
// rum/module.h.
#include <algorithm>
#include <cstring>
#include <utility>

#include "base/address.h"
#include "check/host_table.h"

namespace rum {
namespace {

using namespace scripted;
using Kind = Deed::Kind;

// The keys of rum's own log line.
constexpr std::string_view kOwnKeys[] = {
    "id",       "client", "listener", "user",   "destination",       "connect",       "duration",
    "received", "sent",   "reason",   "detail", "upstream_received", "upstream_sent", "event",
    "time",     "level",  "message",  "via",    "login_failures",    "login"};

// The reasons that rum/module.h marks with (module).
bool ForModules(uint32_t reason, bool probe) {
  return (probe && reason == RUM_CLOSE_PROBED) || reason == RUM_CLOSE_CLIENT ||
         reason == RUM_CLOSE_UPSTREAM || reason == RUM_CLOSE_CLIENT_GONE ||
         reason == RUM_CLOSE_UPSTREAM_GONE ||
         (reason >= RUM_CLOSE_NO_DESTINATION && reason <= RUM_CLOSE_LIMIT) ||
         reason == RUM_CLOSE_MODULE || reason == RUM_CLOSE_BLOCKED;
}

}  // namespace

int32_t ScriptedSession::Send(uint32_t side, const void* data, size_t size) {
  const Side& s = sides[side];
  if (size > RUM_MOST_SEND) return Refuse("send", RUM_E_LIMIT);
  if (!s.there || s.broken || end_passed_[Other(side)]) return Refuse("send", RUM_E_STATE);
  if (s.waiting + size > RUM_MOST_WAITING || sent_in_hook_ + size > RUM_MOST_WAITING) {
    host_table::Violate(*host_.world_,
                        "send() queues more than 64 MiB in one call of a hook, or for a peer that "
                        "takes nothing");
    return Refuse("send", RUM_E_LIMIT);
  }
  sent_in_hook_ += size;
  Out(side, {static_cast<const char*>(data), size});
  return RUM_OK;
}

int32_t ScriptedSession::Need(uint32_t side, size_t size) {
  if (Ending() || handed == side) return Refuse("need", RUM_E_STATE);
  if (size > kWindowMost) {
    need_refused_[side] = true;
    return Refuse("need", RUM_E_LIMIT);
  }
  need_refused_[side] = false;
  sides[side].need = size;
  return RUM_OK;
}

int32_t ScriptedSession::Forward(uint32_t from, uint64_t size) {
  if (Ending() || probe || refusal || handed == from) return Refuse("forward", RUM_E_STATE);
  uint64_t& forward = sides[from].forward;
  if (size > INT64_MAX || forward + size > INT64_MAX) return Refuse("forward", RUM_E_LIMIT);
  forward += size;
  return RUM_OK;
}

int32_t ScriptedSession::Relay() {
  if (Ending() || probe || refusal || (!connect && !sides[RUM_UPSTREAM].there)) {
    return Refuse("relay", RUM_E_STATE);
  }
  if (!relay) host_.deeds_.push_back({Kind::kRelay, 0, 0, {}, {}});
  relay = true;
  confirmed_ |= !no_login;
  return RUM_OK;
}

int32_t ScriptedSession::RelayFrom(uint32_t side) {
  bool turning =
      sides[RUM_CLIENT].tls == Tls::kHandshake || sides[RUM_UPSTREAM].tls == Tls::kHandshake;
  if (Ending() || relay || handed || turning || !sides[RUM_UPSTREAM].there) {
    return Refuse("relay_from", RUM_E_STATE);
  }
  host_.deeds_.push_back({Kind::kRelayFrom, side, 0, {}, {}});
  handed = side;
  relayed_ = true;
  confirmed_ |= !no_login;
  sides[side].need = 0;
  sides[side].forward = 0;
  sides[Other(side)].fresh = !sides[Other(side)].window.empty();
  sides[Other(side)].end_reported = false;
  return RUM_OK;
}

int32_t ScriptedSession::TakeBack(uint32_t side) {
  if (Ending() || relay || handed != side || sides[side].ended) {
    return Refuse("take_back", RUM_E_STATE);
  }
  host_.deeds_.push_back({Kind::kTakeBack, side, 0, {}, {}});
  handed.reset();
  return RUM_OK;
}

int32_t ScriptedSession::Lookup(const void* key, size_t size) {
  if (Ending() || lookup || refusal) return Refuse("lookup", RUM_E_STATE);
  if (!host_.has_map) return Refuse("lookup", RUM_E_UNSUPPORTED);
  if (size == 0) return Refuse("lookup", RUM_E_ARGUMENT);
  if (size > kKeyMost) return Refuse("lookup", RUM_E_LIMIT);
  lookup.emplace(static_cast<const char*>(key), size);
  host_.deeds_.push_back({Kind::kLookup, 0, 0, {}, *lookup});
  return RUM_OK;
}

int32_t ScriptedSession::Identify(const void* name, size_t size) {
  if (Ending()) return Refuse("identify", RUM_E_STATE);
  if (size > kUserMost) return Refuse("identify", RUM_E_LIMIT);
  user.assign(static_cast<const char*>(name), size);
  host_.deeds_.push_back({Kind::kIdentify, 0, 0, {}, user});
  identified = true;
  return RUM_OK;
}

int32_t ScriptedSession::Connect(const char* address, size_t size) {
  if (size > RUM_MOST_ADDRESS) return Refuse("connect", RUM_E_LIMIT);
  if (Ending() || connect || relay || relayed_ || aimed_ || refusal) {
    return Refuse("connect", RUM_E_STATE);
  }
  if (connects_ >= RUM_MOST_CONNECTS) return Refuse("connect", RUM_E_LIMIT);
  if (size == 0 && host_.default_destination.empty()) return Refuse("connect", RUM_E_UNSUPPORTED);
  std::string_view text(size ? address : "", size);
  if (size && !ParseAddresses(text)) return Refuse("connect", RUM_E_ARGUMENT);
  if (probe) {  // a probe only asks for the destination
    EndWith(RUM_CLOSE_PROBED);
  } else {
    connect.emplace(text);
    ++connects_;
  }
  if (sides[RUM_UPSTREAM].there) GiveUpServer();
  host_.deeds_.push_back({Kind::kConnect, 0, 0, {}, std::string(text)});
  return RUM_OK;
}

// Its bytes go when the hook has returned.
void ScriptedSession::GiveUpServer() {
  Side& old = sides[RUM_UPSTREAM];
  gives_up_ = true;
  old.there = old.end_reported = false;
  old.need = old.forward = sides[RUM_CLIENT].forward = 0;
}

int32_t ScriptedSession::StartTls(uint32_t side, const char* server_name, size_t size) {
  Side& s = sides[side];
  if (Ending() || !s.there || handed || s.tls != Tls::kOff) return Refuse("start_tls", RUM_E_STATE);
  if (size > kServerNameMost) return Refuse("start_tls", RUM_E_LIMIT);
  if (host_.tls_mode[side] == RUM_TLS_OFF) return Refuse("start_tls", RUM_E_UNSUPPORTED);
  s.tls = Tls::kHandshake;
  std::string name(size ? server_name : "", size);
  host_.deeds_.push_back({Kind::kStartTls, side, 0, {}, std::move(name)});
  return RUM_OK;
}

uint64_t ScriptedSession::Pause() {
  if (Ending() || pause) {
    Refuse("pause", RUM_E_STATE);
    return 0;
  }
  pause = host_table::NewTicket(this);
  host_.deeds_.push_back({Kind::kPause, 0, pause, {}, {}});
  return pause;
}

uint64_t ScriptedSession::Timer(uint64_t milliseconds) {
  if (Ending() || timers_.size() >= kTimersMost) {
    Refuse("timer", Ending() ? RUM_E_STATE : RUM_E_LIMIT);
    return 0;
  }
  if (milliseconds > kTimerMost) {
    host_table::Violate(*host_.world_, "timer() with more than 24 h");
    milliseconds = kTimerMost;
  }
  uint64_t ticket = host_table::NewTicket(nullptr);
  timers_[ticket] = host_table::clock + milliseconds;
  host_.deeds_.push_back({Kind::kTimer, 0, milliseconds, {}, {}});
  return ticket;
}

void ScriptedSession::TimerCancel(uint64_t ticket) { timers_.erase(ticket); }

size_t ScriptedSession::Peer(uint32_t side, char* out, size_t size) {
  std::string_view peer = sides[side].there ? std::string_view(host_.peer[side]) : "";
  if (size > 0) out[peer.copy(out, size - 1)] = 0;
  return peer.size();
}

int32_t ScriptedSession::Note(const char* key, const void* value, size_t size) {
  std::string_view name(key);
  bool good = !name.empty() && name.size() <= kNoteKeyMost &&
              std::all_of(name.begin(), name.end(),
                          [](char c) { return (c >= 'a' && c <= 'z') || c == '_'; });
  bool own = std::find(std::begin(kOwnKeys), std::end(kOwnKeys), name) != std::end(kOwnKeys);
  if (!good || own) {
    host_table::Violate(*host_.world_,
                        own ? "note() with a key of rum's own line: " + std::string(name)
                            : "note() with a key that is not [a-z_]{1,32}");
    return Refuse("note", RUM_E_ARGUMENT);
  }
  if (size > kNoteValueMost) return Refuse("note", RUM_E_LIMIT);
  if (!notes.contains(key) && notes.size() >= kNotesMost) return Refuse("note", RUM_E_LIMIT);
  std::string text(static_cast<const char*>(size ? value : ""), size);
  host_.deeds_.push_back({Kind::kNote, 0, 0, key, text});
  notes[key] = std::move(text);
  return RUM_OK;
}

void ScriptedSession::MetricAdd(uint32_t index, uint64_t delta) {
  ScriptedHost::World& world = *host_.world_;
  if (index >= world.metrics.size()) {
    host_table::Violate(world, "metric_add() of counter " + std::to_string(index) + ", of " +
                                   std::to_string(world.metrics.size()));
    return;
  }
  const char* name = world.metrics[index].name;
  world.sums[name] += delta;
  host_.deeds_.push_back({Kind::kMetric, 0, delta, name, {}});
}

int32_t ScriptedSession::TlsFingerprint(uint8_t* digest) {
  if (sides[RUM_CLIENT].tls == Tls::kOff) return RUM_E_STATE;
  std::string bytes = host_.client_certificate;
  bytes.resize(32);
  std::memcpy(digest, bytes.data(), bytes.size());
  return RUM_OK;
}

int32_t ScriptedSession::PutShared(std::string_view key, std::string_view value,
                                   uint64_t lifetime) {
  if (Ending() || probe || relay || refusal) return Refuse("put", RUM_E_STATE);
  const std::string owner = identified ? "user " + user : "host " + host_.peer[RUM_CLIENT];
  int32_t status = host_.world_->shared.Put(number_ + 1, owner, std::string(key),
                                            std::string(value), lifetime, host_table::clock);
  return status == RUM_OK ? status : Refuse("put", status);
}

int32_t ScriptedSession::FindShared(std::string key) {
  if (!module_.shared_found) return Refuse("find", RUM_E_UNSUPPORTED);
  if (Ending() || finding || relay || refusal) return Refuse("find", RUM_E_STATE);
  finding = std::move(key);
  return RUM_OK;
}

int32_t ScriptedSession::RemoveShared(const std::string& key) {
  return host_.world_->shared.Remove(number_ + 1, key);
}

int32_t ScriptedSession::Admit(const void* record, size_t size) {
  if (size > RUM_MOST_RECORD) return Refuse("admit", RUM_E_LIMIT);
  if (Ending() || !identified || no_login || refusal) return Refuse("admit", RUM_E_STATE);
  std::string bytes(static_cast<const char*>(size ? record : ""), size);
  host_.deeds_.push_back(
      {Kind::kAdmit, 0, static_cast<uint64_t>(host_.admission), {}, std::move(bytes)});
  admitted = host_.admission == RUM_OK;
  return host_.admission;
}

int32_t ScriptedSession::TryLogin() {
  if (Ending() || pause || no_login || refusal) return Refuse("try_login", RUM_E_STATE);
  if (host_.blocked) return RUM_REFUSED_BLOCKED;
  if (!host_.login_waits) return RUM_OK;
  login_pause = Pause();
  return RUM_E_AGAIN;
}

int32_t ScriptedSession::Confirm() {
  if (Ending() || !admitted) return Refuse("confirm", RUM_E_STATE);
  host_.deeds_.push_back(
      {Kind::kConfirm, 0, static_cast<uint64_t>(host_.confirmation), {}, std::string()});
  confirmed_ |= host_.confirmation == RUM_OK;
  return host_.confirmation;
}

void ScriptedSession::LoginFailed() {
  if (!refusal) host_.deeds_.push_back({Kind::kLoginFailed, 0, 0, {}, {}});
}

void ScriptedSession::Close(uint32_t why, const char* words, size_t size) {
  if (!ForModules(why, probe)) {
    host_table::Violate(*host_.world_,
                        "close() with reason " + std::to_string(why) + ", which is not a module's");
    why = RUM_CLOSE_MODULE;
  }
  if (Ending()) {
    Refuse("close", RUM_E_STATE);
    return;
  }
  EndWith(why, {size ? words : "", size});
}

}  // namespace rum
