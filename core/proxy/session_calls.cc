// How a session serves the host calls of rum/module.h: those that it accepts at any time, and the
// requests of its dialogue, most of which are stored and performed after the module's hook has
// returned. TLS, pauses and timers are completely here.
#include <algorithm>
#include <cstring>
#include <utility>

#include "base/copy_out.h"
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

constexpr size_t kNoteKeyMost = 32;

// The keys of rum's own fields; session_log.cc writes them.
constexpr std::string_view kOwnKeys[] = {
    "id",       "client", "listener", "user",   "destination",       "connect",       "duration",
    "received", "sent",   "reason",   "detail", "upstream_received", "upstream_sent", "event",
    "time",     "level",  "message",  "via",    "login_failures",    "login"};

bool GoodNoteKey(std::string_view key) {
  if (std::find(std::begin(kOwnKeys), std::end(kOwnKeys), key) != std::end(kOwnKeys)) return false;
  return !key.empty() && key.size() <= kNoteKeyMost &&
         std::all_of(key.begin(), key.end(),
                     [](char c) { return (c >= 'a' && c <= 'z') || c == '_'; });
}

}  // namespace

// -- at any time ----------------------------------------------------------------------------------

Dialogue* Session::asking() const {
  return hooked() && dialogue_->asking() ? dialogue_.get() : nullptr;
}

int32_t Session::Send(uint32_t which, const void* data, size_t size) {
  if (which > RUM_UPSTREAM || (!data && size)) return RUM_E_ARGUMENT;
  bool hook_may_send = hooked() || (state_ == State::kClosing && module_open_);
  Side& s = side(which);
  if (!hook_may_send || !s.attached() || s.shut() || s.broken() || s.write_failed()) {
    return RUM_E_STATE;
  }
  // During the relay there is no dialogue, and the upstream is connected.
  if (which == RUM_UPSTREAM && dialogue_ && !dialogue_->upstream_open()) return RUM_E_STATE;
  if (s.waiting() + size > RUM_MOST_WAITING) return RUM_E_LIMIT;
  QueueFor(which, data, size);
  return RUM_OK;
}

void Session::LoginFailed() {
  if (refused_) return;
  LoginGuard::Attempt* proof = dialogue_ ? dialogue_->proof() : nullptr;
  // The operator's doing, not a guess: an application of such a user goes on trying, and would
  // block its host for all other users.
  if (std::exchange(record_.disabled, false)) {
    if (proof) proof->Release();
    return;
  }
  worker_.counters.login_failures.Add(1);
  ++record_.login_failures;
  const LoginGuard::Settings& guard = worker_.settings().admission.guard;
  if (!worker_.proxy().admission().guard().Failed(guard, address_, proof)) return;
  worker_.counters.login_blocks.Add(1);
  log::Warning("{}: too many failed logins ({}), blocked for {}", address_.host(),
               FormatRate(guard.failures), FormatDuration(guard.block));
}

bool Session::Blocked() const {
  const LoginGuard::Settings& guard = worker_.settings().admission.guard;
  return worker_.proxy().admission().guard().Blocks(guard, address_);
}

void Session::CancelTimer(uint64_t ticket) {
  if (dialogue_) dialogue_->CancelTimer(ticket);
}

std::string Session::Peer(uint32_t which) const {
  if (which == RUM_CLIENT) {
    if (!listener_) return {};
    return address_.ip() ? address_.text() : "unix:" + listener_->address().host;
  }
  const Side& s = sides_[RUM_UPSTREAM];
  if (!s.attached()) return {};
  SocketAddress address = dialogue_ ? dialogue_->connector().address() : s.PeerAddress();
  if (address.ip()) return address.text();
  // The destination is a unix socket: "sock:/path".
  std::string_view path = destination();
  return "unix:" + std::string(path.starts_with("sock:") ? path.substr(5) : path);
}

int32_t Session::Destination(char* text, size_t* size) const {
  if (side(RUM_UPSTREAM).attached() && (!dialogue_ || dialogue_->upstream_open())) {
    return CopyOut(destination(), text, size);
  }
  *size = 0;
  return RUM_E_STATE;
}

int32_t Session::Note(const char* key, const void* value, size_t size) {
  if (!key || (!value && size) || !GoodNoteKey(key)) return RUM_E_ARGUMENT;
  if (size > RUM_MOST_NOTE) return RUM_E_LIMIT;
  std::string text(static_cast<const char*>(value), size);
  for (auto& [known, old] : record_.notes) {
    if (known == key) {
      old = std::move(text);
      return RUM_OK;
    }
  }
  if (record_.notes.size() >= RUM_MOST_NOTES) return RUM_E_LIMIT;
  record_.notes.emplace_back(key, std::move(text));
  return RUM_OK;
}

// -- requests of the dialogue ---------------------------------------------------------------------

int32_t Dialogue::Need(uint32_t which, size_t size) {
  if (hand_over_ == which) return RUM_E_STATE;
  if (size > RUM_MOST_NEED) return RUM_E_LIMIT;
  windows_[which].need = size;
  return RUM_OK;
}

int32_t Dialogue::Forward(uint32_t from, uint64_t size) {
  if (alone() || hand_over_ == from) return RUM_E_STATE;
  uint64_t& forward = windows_[from].forward;
  if (size > INT64_MAX || forward + size > INT64_MAX) return RUM_E_LIMIT;
  forward += size;
  return RUM_OK;
}

int32_t Dialogue::Relay() {
  if (!asking() || alone()) return RUM_E_STATE;
  if (!upstream_open_ && !connecting()) return RUM_E_STATE;
  if (!ConfirmAtLast()) return RUM_E_LIMIT;
  relay_ = true;
  if (!tls_[RUM_CLIENT].asked) EndLoginDeadline();  // a handshake keeps its deadline
  return RUM_OK;
}

int32_t Dialogue::RelayFrom(uint32_t which) {
  if (alone() || relay_ || hand_over_) return RUM_E_STATE;
  auto turning = [&](uint32_t s) {
    return tls_[s].asked && (!tls_[s].begun || side(s).handshaking());
  };
  if (!upstream_open_ || turning(RUM_CLIENT) || turning(RUM_UPSTREAM)) return RUM_E_STATE;
  if (!ConfirmAtLast()) return RUM_E_LIMIT;
  hand_over_ = which;
  EndLoginDeadline();
  return RUM_OK;
}

int32_t Dialogue::TakeBack(uint32_t which) {
  if (relay_ || hand_over_ != which) return RUM_E_STATE;
  if (side(which).ended()) return RUM_E_STATE;  // it has been passed on
  hand_over_.reset();
  return RUM_OK;
}

int32_t Dialogue::Lookup(std::string_view key) {
  if (lookup_ || session_.refused()) return RUM_E_STATE;
  if (worker_.settings().map_sources.empty()) return RUM_E_UNSUPPORTED;
  lookup_.emplace(key);
  return RUM_OK;
}

int32_t Dialogue::Identify(std::string_view user) {
  SessionRecord& record = session_.record();
  record.user = user;
  record.identified = true;
  session_.Trace("the user is \"{}\"", user);
  return RUM_OK;
}

int32_t Dialogue::Connect(std::string_view wanted) {
  if (session_.refused() || connecting() || relay_ || hand_over_ || session_.relaying())
    return RUM_E_STATE;
  if (session_.probe() && session_.probe()->destination) return RUM_E_STATE;
  if (connects_ >= RUM_MOST_CONNECTS) return RUM_E_LIMIT;
  if (wanted.empty()) {
    auto destinations = worker_.DefaultDestinations(session_.address());
    if (destinations.empty()) return RUM_E_UNSUPPORTED;
    connect_ = std::move(destinations);
  } else {
    auto destinations = ParseAddresses(wanted);
    if (!destinations) return RUM_E_ARGUMENT;
    connect_ = std::move(*destinations);
  }
  ++connects_;
  if (upstream_open_) GiveUpServer();
  return RUM_OK;
}

// DropServer() does the rest when the hook has returned.
void Dialogue::GiveUpServer() {
  upstream_open_ = false;
  gives_up_ = true;
  windows_[RUM_CLIENT].forward = 0;
  awaits_ &= 1u << RUM_CLIENT;
  Window& w = windows_[RUM_UPSTREAM];
  w.need = w.forward = 0;  // from here on they are of the new one; its bytes go in DropServer()
  w.end_reported = false;
}

void Dialogue::Close(uint32_t reason, std::string_view text) {
  if (!asking()) return;
  if (reason == RUM_CLOSE_PROBED && !session_.probing()) reason = RUM_CLOSE_MODULE;
  close_reason_ = KnownCloseReason(reason);
  close_text_ = text.substr(0, RUM_MOST_CLOSE_TEXT);
}

// -- logins ---------------------------------------------------------------------------------------

int32_t Dialogue::Admit(std::string_view rules) {
  const SessionRecord& record = session_.record();
  if (!record.identified || record.no_login || session_.refused()) return RUM_E_STATE;
  const SocketAddress& address = session_.address();
  // Data through a unix socket does not leave the machine.
  bool safe_way = session_.TlsActive(RUM_CLIENT) == 1 || !address.ip();
  const Visitor visitor{record.user, address, safe_way, worker_.geo()};
  const Admission::Settings& settings = worker_.settings().admission;
  Admission& admission = worker_.proxy().admission();
  // A direction was taken back: the session keeps its user until the next one is confirmed.
  bool changing = session_.logged_in() && !hand_over_;
  UserLimits::Lease& place = session_.user_place();
  if (!changing) place.Release();
  int32_t verdict = admission.Admit(settings, visitor, rules, place, &candidate_);
  if (verdict > 0) worker_.counters.logins_refused[verdict].Add(1);
  session_.record().disabled = verdict == RUM_REFUSED_DISABLED;
  return verdict;
}

int32_t Dialogue::TryLogin() {
  if (pause_ || session_.record().no_login || session_.refused()) return RUM_E_STATE;
  const LoginGuard::Settings& guard = worker_.settings().admission.guard;
  if (!guard.failures.on()) return RUM_OK;
  const uint64_t ticket = worker_.TakeTicket(session_);
  LoginGuard& logins = worker_.proxy().admission().guard();
  auto answer = logins.Try(guard, session_.address(), ticket, &proof_);
  if (answer == LoginGuard::Answer::kWait) {
    session_.Trace("too many logins of its address are in progress: waiting");
    pause_ = ticket;
    return RUM_E_AGAIN;
  }
  worker_.DropTicket(ticket);
  return answer == LoginGuard::Answer::kGo ? RUM_OK : RUM_REFUSED_BLOCKED;
}

int32_t Dialogue::Confirm() {
  proof_.Release();
  UserLimits::Lease& place = session_.user_place();
  if (!candidate_) return place ? RUM_OK : RUM_E_STATE;
  int32_t verdict = worker_.proxy().admission().Confirm(&candidate_, &place);
  if (verdict > 0) worker_.counters.logins_refused[verdict].Add(1);
  return verdict;
}

int32_t Dialogue::NoLogin() {
  if (alone() || relay_ || hand_over_ || session_.logged_in()) return RUM_E_STATE;
  if (session_.user_place() || proof_.under_way()) return RUM_E_STATE;
  candidate_.Drop();
  session_.record().no_login = true;
  session_.Trace("the session relays something other than a login");
  return RUM_OK;
}

int32_t Dialogue::AwaitDrained(uint32_t which, uint64_t below) {
  if (!module().drained) return RUM_E_UNSUPPORTED;
  if (relay_ || !side(which).attached()) return RUM_E_STATE;
  if (which == RUM_UPSTREAM && !upstream_open_) return RUM_E_STATE;
  below_[which] = below;
  awaits_ |= static_cast<uint8_t>(1u << which);
  return RUM_OK;
}

void Dialogue::EndLoginDeadline() {
  if (!session_.record().no_login) login_.Disarm();
}

// Letting the login through confirms it, for a module that does not call confirm().
bool Dialogue::ConfirmAtLast() {
  proof_.Release();
  if (!candidate_ || Confirm() == RUM_OK) return true;
  Close(RUM_CLOSE_LIMIT, "a limit of the user is reached");
  return false;
}

// -- TLS ------------------------------------------------------------------------------------------

int32_t Dialogue::StartTls(uint32_t which, std::string_view server_name) {
  if (hand_over_ || tls_[which].asked) return RUM_E_STATE;
  if (which == RUM_UPSTREAM ? !upstream_open_ : session_.probing()) return RUM_E_STATE;
  if (session_.TlsModeOf(which) == RUM_TLS_OFF) return RUM_E_UNSUPPORTED;
  std::string name(server_name);
  if (which == RUM_UPSTREAM && name.empty()) name = upstream_host_;
  tls_[which] = {.asked = true, .begun = false, .own = false, .name = std::move(name)};
  return RUM_OK;
}

// Starts TLS that was asked for, after the hook that requested it has returned, and continues the
// handshake.
bool Dialogue::AdvanceTls(uint32_t which) {
  TlsRequest& tls = tls_[which];
  Side& s = side(which);
  if (!tls.begun) {
    tls.begun = true;
    Buffer& window = windows_[which].bytes;
    const TlsContexts& contexts = *worker_.tls();
    std::string_view early(reinterpret_cast<const char*>(window.data()), window.size());
    if (!s.StartTls(which == RUM_CLIENT ? contexts.server : contexts.client, which == RUM_CLIENT,
                    contexts.upstream_name.empty() ? tls.name : contexts.upstream_name, early,
                    tls.own && which == RUM_CLIENT) ||  // to a server a PROXY header goes first
        !s.SetAlpn(alpn_[which])) {
      Close(RUM_CLOSE_NO_RESOURCES, "TLS");
    }
    window.Clear();
    windows_[which].fresh = false;
    return true;
  }
  if (!s.handshaking() || s.broken()) return false;
  switch (s.Handshake()) {
    case TlsStream::Handshake::kWait:
      return false;
    case TlsStream::Handshake::kDone:
      TlsDone(which, true);
      return true;
    default:
      TlsDone(which, false);
      return true;
  }
}

// TLS from the first byte failed: the server has received none of the client's bytes.
void Dialogue::LeaveServer(uint32_t reason, std::string error) {
  tls_error_ = std::move(error);
  tls_[RUM_UPSTREAM] = {};
  connector_.Failed(reason, tls_error_);
}

void Dialogue::TlsDone(uint32_t which, bool done) {
  session_.Trace("TLS with the {} {}", which == RUM_CLIENT ? "client" : "server",
                 done ? "is up" : "failed");
  if (!done && which == RUM_UPSTREAM) {
    if (tls_[which].own) return LeaveServer(RUM_CLOSE_TLS, side(which).tls()->error());
    connector_.Blame(RUM_CLOSE_TLS);
  }
  if (tls_[which].own) {
    if (done && which == RUM_UPSTREAM) outcome_ = 0;
  } else if (module().tls_open) {
    session_.Call(Hook::kTlsOpen, module().tls_open, which, done ? RUM_OK : RUM_E_FAILED);
  }
  // The relay is already requested: the rest is the server's.
  if (done && which == RUM_CLIENT && relay_) EndLoginDeadline();
  if (!done) Close(RUM_CLOSE_TLS, side(which).tls()->error());
}

// -- pauses and timers ----------------------------------------------------------------------------

uint64_t Dialogue::Pause() {
  if (pause_) return 0;
  return pause_ = worker_.TakeTicket(session_);
}

void Dialogue::OnResumed(uint64_t ticket, int32_t status, void* payload,
                         void (*drop)(void* payload)) {
  pause_ = 0;
  resumed_ = Resumed{ticket, status, payload, drop};
}

// A pending answer finds no session; one that arrived too late is dropped.
void Dialogue::DropAnswers() {
  if (pause_) worker_.DropTicket(pause_);
  if (asked_map_) worker_.DropTicket(asked_map_);
  if (asks_others()) worker_.DropTicket(finding_->ticket);
  if (!resumed_ || !resumed_->drop) return;
  InHook in(worker_.hook_place, Hook::kDrop, session_.id());
  resumed_->drop(resumed_->payload);
}

uint64_t Dialogue::AddTimer(uint64_t microseconds) {
  if (timers_.size() >= RUM_MOST_TIMERS) return 0;
  auto timer = std::make_unique<Timer>(*this, worker_.loop(), worker_.NewTicketNumber());
  timer->timer.Set(std::chrono::microseconds(microseconds));
  timers_.push_back(std::move(timer));
  return timers_.back()->ticket;
}

void Dialogue::CancelTimer(uint64_t ticket) {
  std::erase_if(timers_, [&](auto& timer) { return timer->ticket == ticket; });
  std::erase(rung_, ticket);
}

Dialogue::Timer::Timer(Dialogue& dialogue, Loop& loop, uint64_t ticket)
    : timer(loop, OnTimer, this), dialogue(dialogue), ticket(ticket) {}

void Dialogue::OnTimer(void* timer) {
  const auto& rung = *static_cast<Timer*>(timer);
  Dialogue& dialogue = rung.dialogue;
  dialogue.rung_.push_back(rung.ticket);
  dialogue.session_.Converse();
}

}  // namespace rum
