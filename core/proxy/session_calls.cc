// The host calls of rum/module.h, as a session serves them. Each only notes what is asked; the
// session does it when the module's hook has returned.
#include <algorithm>
#include <cstring>

#include "base/log.h"
#include "limits/admission.h"
#include "proxy/dialogue.h"
#include "proxy/listener.h"
#include "proxy/probe.h"
#include "proxy/proxy.h"
#include "proxy/session.h"
#include "proxy/worker.h"
#include "settings/settings.h"
#include "tls/tls_contexts.h"

namespace rum {
namespace {

constexpr size_t kUserMost = 512;
constexpr size_t kNotesMost = 8;
constexpr size_t kNoteKeyMost = 32;
constexpr size_t kNoteValueMost = 256;

// The keys that rum's own line has; session_log.cc writes them.
constexpr std::string_view kOwnKeys[] = {
    "id",       "client", "listener", "user",   "destination",       "connect",       "duration",
    "received", "sent",   "reason",   "detail", "upstream_received", "upstream_sent", "event",
    "time",     "level",  "message",  "via",    "login_failures"};

bool GoodNoteKey(std::string_view key) {
  if (std::find(std::begin(kOwnKeys), std::end(kOwnKeys), key) != std::end(kOwnKeys)) return false;
  return !key.empty() && key.size() <= kNoteKeyMost &&
         std::all_of(key.begin(), key.end(),
                     [](char c) { return (c >= 'a' && c <= 'z') || c == '_'; });
}

}  // namespace

bool Session::asking() const { return hooked() && dialogue_->close_reason == 0; }

int32_t Session::Send(uint32_t which, const void* data, size_t size) {
  if (which > RUM_UPSTREAM || (!data && size)) return RUM_E_ARGUMENT;
  bool hook_may_send = hooked() || (state_ == State::kClosing && module_open_);
  Side& s = side(which);
  if (!hook_may_send || !s.attached() || s.shut() || s.broken() || s.write_failed()) {
    return RUM_E_STATE;
  }
  // From the relay on there is no dialogue, and the upstream is there.
  if (which == RUM_UPSTREAM && dialogue_ && !dialogue_->upstream_open) return RUM_E_STATE;
  QueueFor(which, data, size);
  return RUM_OK;
}

// Behind all that flows to this side, what is in a pipe included.
void Session::QueueFor(uint32_t which, const void* bytes, size_t size) {
  flows_[Other(which)].Empty(side(which), worker_);
  side(which).Queue(bytes, size);
  // A server that is spoken to first has shown all that it can by accepting: whether it answers may
  // be the client's doing.
  if (which == RUM_UPSTREAM && dialogue_) ServerIsThere();
}

void Session::ServerIsThere() {
  const TlsStream* tls = side(RUM_UPSTREAM).tls();
  tls && tls->open() ? dialogue_->attempt.Succeeded() : dialogue_->attempt.Answered();
  dialogue_->arriving.Release();
}

int32_t Session::Need(uint32_t which, size_t size) {
  if (which > RUM_UPSTREAM) return RUM_E_ARGUMENT;
  if (!asking() || dialogue_->hand_over == which) return RUM_E_STATE;
  if (size > kWindowMost) return RUM_E_LIMIT;
  dialogue_->windows[which].need = size;
  return RUM_OK;
}

int32_t Session::Forward(uint32_t from, uint64_t size) {
  if (from > RUM_UPSTREAM) return RUM_E_ARGUMENT;
  if (!asking() || probe_ || dialogue_->hand_over == from) return RUM_E_STATE;
  uint64_t& forward = dialogue_->windows[from].forward;
  if (forward + size < forward) return RUM_E_ARGUMENT;
  forward += size;
  return RUM_OK;
}

int32_t Session::AskRelay() {
  if (!asking() || probe_) return RUM_E_STATE;
  Dialogue& d = *dialogue_;
  if (!d.upstream_open && !d.connect && !d.connector.active()) return RUM_E_STATE;
  if (!ConfirmAtLast()) return RUM_E_LIMIT;
  d.relay = true;
  if (!d.tls[RUM_CLIENT].asked) d.login.Disarm();  // a handshake keeps its deadline
  return RUM_OK;
}

int32_t Session::AskRelayFrom(uint32_t which) {
  if (which > RUM_UPSTREAM) return RUM_E_ARGUMENT;
  if (!asking() || probe_ || dialogue_->relay || dialogue_->hand_over) return RUM_E_STATE;
  Dialogue& d = *dialogue_;
  auto turning = [&](uint32_t s) {
    return d.tls[s].asked && (!d.tls[s].begun || side(s).handshaking());
  };
  if (!d.upstream_open || turning(RUM_CLIENT) || turning(RUM_UPSTREAM)) return RUM_E_STATE;
  if (!ConfirmAtLast()) return RUM_E_LIMIT;
  d.hand_over = which;
  d.login.Disarm();
  return RUM_OK;
}

int32_t Session::AskTakeBack(uint32_t which) {
  if (which > RUM_UPSTREAM) return RUM_E_ARGUMENT;
  if (!asking() || dialogue_->relay || dialogue_->hand_over != which) return RUM_E_STATE;
  if (side(which).ended()) return RUM_E_STATE;  // which has been passed on
  dialogue_->hand_over.reset();
  return RUM_OK;
}

int32_t Session::AskLookup(const void* key, size_t size) {
  if (!key || size == 0 || size > 65535) return RUM_E_ARGUMENT;
  if (!asking() || dialogue_->lookup) return RUM_E_STATE;
  if (worker_.settings().map.empty()) return RUM_E_UNSUPPORTED;
  dialogue_->lookup.emplace(static_cast<const char*>(key), size);
  return RUM_OK;
}

int32_t Session::Identify(const void* user, size_t size) {
  if ((!user && size) || size > kUserMost) return RUM_E_ARGUMENT;
  if (!asking()) return RUM_E_STATE;
  record_.user.assign(static_cast<const char*>(user), size);
  record_.identified = true;
  Trace("the user is \"{}\"", record_.user);
  return RUM_OK;
}

int32_t Session::AskConnect(const char* address, size_t size) {
  if (!address && size) return RUM_E_ARGUMENT;
  if (!asking()) return RUM_E_STATE;
  Dialogue& d = *dialogue_;
  if (d.connect || d.connector.active() || d.upstream_open) return RUM_E_STATE;
  if (probe_ && probe_->destination) return RUM_E_STATE;
  if (size == 0) {
    auto destinations = worker_.DefaultDestinations(address_);
    if (destinations.empty()) return RUM_E_UNSUPPORTED;
    d.connect = std::move(destinations);
    return RUM_OK;
  }
  auto destinations = ParseAddresses({address, size});
  if (!destinations) return RUM_E_ARGUMENT;
  d.connect = std::move(*destinations);
  return RUM_OK;
}

int32_t Session::StartTls(uint32_t which, const char* server_name, size_t size) {
  if (which > RUM_UPSTREAM || (!server_name && size) || size > 253) return RUM_E_ARGUMENT;
  if (!asking()) return RUM_E_STATE;
  Dialogue& d = *dialogue_;
  if (d.hand_over || d.tls[which].asked || (which == RUM_UPSTREAM ? !d.upstream_open : probing())) {
    return RUM_E_STATE;
  }
  if (TlsModeOf(which) == RUM_TLS_OFF) return RUM_E_UNSUPPORTED;
  std::string name(server_name ? server_name : "", size);
  if (which == RUM_UPSTREAM && name.empty()) name = d.upstream_host;
  d.tls[which] = {.asked = true, .begun = false, .own = false, .name = std::move(name)};
  return RUM_OK;
}

int32_t Session::TlsModeOf(uint32_t which) const {
  if (which > RUM_UPSTREAM) return RUM_E_ARGUMENT;
  const TlsContexts& tls = *worker_.tls();
  if (which == RUM_UPSTREAM) return static_cast<int32_t>(tls.upstreams);
  return static_cast<int32_t>(tls.server ? tls.clients : TlsMode::kOff);
}

int32_t Session::TlsActive(uint32_t which) const {
  if (which > RUM_UPSTREAM) return RUM_E_ARGUMENT;
  // One that was asked for begins when the hook has returned, and nothing goes there before.
  return !sides_[which].plain() || (dialogue_ && dialogue_->tls[which].asked);
}

int32_t Session::TlsFingerprint(uint8_t* digest) const {
  if (!digest) return RUM_E_ARGUMENT;
  const TlsStream* tls = sides_[RUM_CLIENT].tls();
  if (!tls) return RUM_E_STATE;
  std::copy(tls->context().fingerprint().begin(), tls->context().fingerprint().end(), digest);
  return RUM_OK;
}

int32_t Session::TlsEndIsCut(uint32_t which) {
  if (which > RUM_UPSTREAM) return RUM_E_ARGUMENT;
  if (!sides_[which].attached()) return RUM_E_STATE;
  sides_[which].EndIsCut();
  return RUM_OK;
}

int32_t Session::Admit(const void* record, size_t size) {
  if (!record && size) return RUM_E_ARGUMENT;
  if (!asking() || !record_.identified) return RUM_E_STATE;
  // What goes through a unix socket does not leave the machine.
  bool safe_way = TlsActive(RUM_CLIENT) == 1 || !address_.ip();
  const Visitor visitor{record_.user, address_, safe_way};
  const std::string_view rules(static_cast<const char*>(record), size);
  const Admission::Settings& settings = worker_.settings().admission;
  Admission& admission = worker_.proxy().admission();
  // A way was taken back: the session has a user who stays until the next one is in.
  bool changing = logged_in_ && !dialogue_->hand_over;
  if (!changing) lease_.Release();
  int32_t verdict = admission.Admit(settings, visitor, rules, lease_, &dialogue_->candidate);
  if (verdict > 0) worker_.counters.logins_refused[verdict].Add(1);
  return verdict;
}

void Session::LoginFailed() {
  worker_.counters.login_failures.Add(1);
  ++record_.login_failures;
  const LoginGuard::Settings& guard = worker_.settings().admission.guard;
  LoginGuard::Attempt* proof = dialogue_ ? &dialogue_->proof : nullptr;
  if (!worker_.proxy().admission().guard().Failed(guard, address_, proof)) return;
  worker_.counters.login_blocks.Add(1);
  log::Warning("{}: too many failed logins ({}), blocked for {}", address_.host(),
               FormatRate(guard.failures), FormatDuration(guard.block));
}

bool Session::Blocked() const {
  const LoginGuard::Settings& guard = worker_.settings().admission.guard;
  return worker_.proxy().admission().guard().Blocks(guard, address_);
}

int32_t Session::TryLogin() {
  if (!asking() || dialogue_->pause) return RUM_E_STATE;
  const LoginGuard::Settings& guard = worker_.settings().admission.guard;
  if (!guard.failures.on()) return RUM_OK;
  const uint64_t ticket = worker_.TakeTicket(*this);
  auto answer = worker_.proxy().admission().guard().Try(guard, address_, ticket, &dialogue_->proof);
  if (answer == LoginGuard::Answer::kWait) {
    Trace("as many logins of its address are under way as may fail: it waits");
    dialogue_->pause = ticket;
    return RUM_E_AGAIN;
  }
  worker_.DropTicket(ticket);
  return answer == LoginGuard::Answer::kGo ? RUM_OK : RUM_REFUSED_BLOCKED;
}

int32_t Session::Confirm() {
  if (!asking()) return RUM_E_STATE;
  dialogue_->proof.Release();
  if (!dialogue_->candidate) return lease_ ? RUM_OK : RUM_E_STATE;
  int32_t verdict = worker_.proxy().admission().Confirm(&dialogue_->candidate, &lease_);
  if (verdict > 0) worker_.counters.logins_refused[verdict].Add(1);
  return verdict;
}

// A module that does not say when a login is proved says so by letting it through.
bool Session::ConfirmAtLast() {
  dialogue_->proof.Release();
  if (!dialogue_->candidate || Confirm() == RUM_OK) return true;
  AskClose(RUM_CLOSE_LIMIT, "a limit of the user is reached");
  return false;
}

uint64_t Session::Pause() {
  if (!asking() || dialogue_->pause) return 0;
  return dialogue_->pause = worker_.TakeTicket(*this);
}

uint64_t Session::AddTimer(uint64_t microseconds) {
  if (!asking() || dialogue_->timers.size() >= kTimersMost) return 0;
  auto timer = std::make_unique<ModuleTimer>(worker_.loop(), OnModuleTimer);
  timer->session = this;
  timer->ticket = worker_.NewTicketNumber();
  timer->timer.Set(std::chrono::microseconds(microseconds));
  dialogue_->timers.push_back(std::move(timer));
  return dialogue_->timers.back()->ticket;
}

void Session::CancelTimer(uint64_t ticket) {
  if (!dialogue_) return;
  std::erase_if(dialogue_->timers, [&](auto& timer) { return timer->ticket == ticket; });
  std::erase(dialogue_->rung, ticket);
}

std::string Session::Peer(uint32_t which) const {
  if (which == RUM_CLIENT) {
    if (!listener_) return {};
    return address_.ip() ? address_.text() : "unix:" + listener_->address().host;
  }
  const Side& s = sides_[RUM_UPSTREAM];
  if (!s.attached()) return {};
  SocketAddress address = dialogue_ ? dialogue_->connector.address() : s.PeerAddress();
  if (address.ip()) return address.text();
  // A destination that is a unix socket is told as "sock:/path".
  std::string_view path = destination();
  return "unix:" + std::string(path.starts_with("sock:") ? path.substr(5) : path);
}

int32_t Session::Note(const char* key, const void* value, size_t size) {
  if (!key || (!value && size) || !GoodNoteKey(key)) return RUM_E_ARGUMENT;
  if (size > kNoteValueMost) return RUM_E_LIMIT;
  std::string text(static_cast<const char*>(value), size);
  for (auto& [known, old] : record_.notes) {
    if (known == key) {
      old = std::move(text);
      return RUM_OK;
    }
  }
  if (record_.notes.size() >= kNotesMost) return RUM_E_LIMIT;
  record_.notes.emplace_back(key, std::move(text));
  return RUM_OK;
}

void Session::AskClose(uint32_t reason, std::string_view text) {
  if (!asking()) return;
  if (reason == RUM_CLOSE_PROBED && !probe_) reason = RUM_CLOSE_MODULE;
  dialogue_->close_reason = KnownCloseReason(reason);
  dialogue_->close_text = text.substr(0, 256);
}

}  // namespace rum
