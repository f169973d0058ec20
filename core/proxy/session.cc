// The life of a session: events, the relay, deadlines, the end. It begins in session_open.cc; until
// the relay, a Dialogue decides what is next; the module's calls are in session_calls.cc.
#include "proxy/session.h"

#include "base/close_reasons.h"
#include "module/module_config.h"
#include "proxy/dialogue.h"
#include "proxy/listener.h"
#include "proxy/probe.h"
#include "proxy/proxy.h"
#include "proxy/session_log.h"
#include "proxy/worker.h"
#include "settings/settings.h"

namespace rum {
namespace {

// A peer that sends more than this after its session ended is cut off.
constexpr size_t kLingerReads = 16;
constexpr unsigned kWatchRounds = 8;  // windows of a watched side per turn
}  // namespace

Session::Session(Worker& worker, Listener* listener, const SocketAddress& address)
    : worker_(worker),
      listener_(listener),
      id_(worker.NextSessionId()),
      opened_(NowMicros()),
      config_(worker.module_config()),
      dialogue_(Dialogue::New(*this, worker)),
      address_(address) {}

Session::~Session() = default;

ServerCounters& Session::server_counters() const { return worker_.servers.at(counted_for_); }

HookPlace& Session::hook_place() const { return worker_.hook_place; }

// -- events ---------------------------------------------------------------------------------------

void Session::OnReady(uint32_t which, uint32_t what) {
  Side& s = side(which);
  bool was_writable = s.writable();
  const bool fault = what & (EPOLLERR | EPOLLHUP);
  s.Notice(what);
  switch (state_) {
    case State::kRelay:
      // Nobody reads this side now, so a reset would go unnoticed.
      if (fault && (s.ended() || flows_[which].blocked(side(Other(which))))) s.AskError();
      MoveBoth(which == RUM_CLIENT ? s.readable() : !was_writable && s.writable(),
               which == RUM_CLIENT ? !was_writable && s.writable() : s.readable());
      break;
    case State::kDialogue:
    case State::kWatch:
      dialogue_->OnReady(which, what);
      Converse();
      break;
    case State::kClosing:
      Linger();
      break;
    case State::kDead:
      break;
  }
}

// -- dialogue and watch ---------------------------------------------------------------------------

void Session::Converse() {
  bool again = true;
  for (unsigned rounds = 0; again && hooked(); ++rounds) {
    Dialogue::Next next = dialogue_->Proceed();
    while (next == Dialogue::Next::kWelcome) {
      Welcome();
      if (!hooked()) return;
      next = dialogue_->Proceed();
    }
    if (next == Dialogue::Next::kRelay) return StartRelay();
    if (next == Dialogue::Next::kClose) {
      return Finish(dialogue_->close_reason(), dialogue_->close_text());
    }
    if (state_ == State::kDialogue) {
      again = dialogue_->Flush();
      if (dialogue_->drained()) worker_.CallBack(*this);
    } else if (rounds == kWatchRounds) {
      return worker_.CallBack(*this);
    } else {
      again = MoveWatch();
    }
  }
}

bool Session::MoveWatch() {
  const Dialogue::Moved moved = dialogue_->MoveWatch();
  JudgeRelay();
  if (state_ != State::kWatch) return false;
  if (moved.more || dialogue_->drained()) worker_.CallBack(*this);
  return moved.due;
}

void Session::BeginWatch() {
  state_ = State::kWatch;
  BeginRelaying(dialogue_->connector().connected());
}

void Session::EndWatch() { state_ = State::kDialogue; }

bool Session::AttachUpstream(Fd fd, bool local, bool connecting) {
  return side(RUM_UPSTREAM)
      .Attach(worker_.loop(), std::move(fd), *this, RUM_UPSTREAM, local, connecting);
}

// After all bytes of this direction, including those in a pipe.
void Session::QueueFor(uint32_t which, const void* bytes, size_t size) {
  flows_[Other(which)].Empty(side(which), worker_);
  side(which).Queue(bytes, size);
  // A server that the client speaks to first has proved all it can by accepting: a missing answer
  // may be the client's fault.
  if (which == RUM_UPSTREAM && dialogue_) dialogue_->OnAnswered();
}

// Answers are dropped first: a module may still use the session while it drops one.
void Session::CloseDialogue() {
  dialogue_->DropAnswers();
  dialogue_.reset();
}

// -- the relay ------------------------------------------------------------------------------------

void Session::StartRelay() {
  const uint64_t connected = dialogue_->connector().connected();
  dialogue_->PassOn();
  CloseDialogue();
  state_ = State::kRelay;
  Trace("relaying both directions");
  BeginRelaying(connected);
  MoveBoth(true, true);
}

// Once, even if a module takes a direction back and logs in again.
void Session::BeginRelaying(uint64_t connected) {
  if (relaying_) return;
  relaying_ = true;
  worker_.counters.relaying.Add(1);
  if (!record_.no_login) LoggedIn(connected);
  ArmLooks();
}

void Session::LoggedIn(uint64_t connected) {
  logged_in_ = true;
  entry_.LoggedIn();
  if (dialogue_) dialogue_->OnLoggedIn();
  const uint64_t now = NowMicros();
  record_.login_micros = ShortMicros(now - opened_);
  if (worker_.settings().log_logins) LogLogin(record_, *listener_, address_, id_, destination());
  worker_.counters.logins.Add(1);
  server_counters().logins.Add(1);
  worker_.counters.login_times.Add(now - opened_);
  if (connected) worker_.counters.authentication_times.Add(now - connected);
}

std::string_view Session::destination() const {
  if (load_) return load_.key();
  return dialogue_ ? std::string_view(dialogue_->connector().server()) : std::string_view();
}

// Moves one direction. True: more than a turn's share is left.
bool Session::MoveFrom(uint32_t which, uint64_t most) {
  Side& from = side(which);
  // Before the server's end is passed on, at which the client may end too.
  if (which == RUM_UPSTREAM && !from.ended() && !ended_first_ &&
      (from.read_on() || side(RUM_CLIENT).ended())) {
    client_left_ = side(RUM_CLIENT).EndHasArrived();
  }
  uint64_t before = from.received();
  const Flow::Moved moved =
      flows_[which].Move(from, side(Other(which)), worker_, most, LastBytesOf(which));
  const bool more = moved == Flow::Moved::kSome;
  CountBytes(which, from.received() - before);
  return more;
}

void Session::CountBytes(uint32_t from, uint64_t moved) {
  if (moved) Spoke(from);
  Counters& all = worker_.counters;
  ServerCounters& server = server_counters();
  (from == RUM_CLIENT ? all.client_bytes : all.upstream_bytes).Add(moved);
  (from == RUM_CLIENT ? server.client_bytes : server.upstream_bytes).Add(moved);
}

void Session::MoveBoth(bool from_client, bool from_upstream) {
  bool more = false;
  const bool turned = Turning();
  if (from_client) more |= MoveFrom(RUM_CLIENT, Flow::kAll);
  if (from_upstream) more |= MoveFrom(RUM_UPSTREAM, Flow::kAll);
  more |= turned && !Turning();  // continues what waited for TLS
  JudgeRelay();
  if (state_ == State::kRelay && more) worker_.CallBack(*this);
}

void Session::OnMoreToMove() {
  if (state_ == State::kRelay) return MoveBoth(true, true);
  if (hooked()) dialogue_->OnTurn();
  Converse();
}

// Has a side ended or broken, and is the session over because of it?
void Session::JudgeRelay() {
  Side& client = side(RUM_CLIENT);
  Side& upstream = side(RUM_UPSTREAM);
  if (!client.ended() && !upstream.ended() && !client.broken() && !upstream.broken() &&
      !client.write_failed() && !upstream.write_failed()) {
    return;
  }
  if (client.broken()) return LoseClientInRelay();
  if (upstream.broken()) return LoseUpstreamInRelay();
  // Neither accepts the other's bytes: nothing more can be passed on.
  if (client.write_failed() && upstream.write_failed()) return Finish(RUM_CLOSE_CLIENT_RESET, {});
  // A side that accepts no more may have sent something before it broke: pass that on first.
  if (client.write_failed() && Flow::Done(client, upstream)) return LoseClientInRelay();
  if (upstream.write_failed() && Flow::Done(upstream, client)) {
    return Finish(RUM_CLOSE_UPSTREAM_RESET, {});
  }
  // After a farewell both close at once: whichever end is read first, it was the client's wish.
  if (!ended_first_ && (client.ended() || upstream.ended())) {
    const bool wished = client_left_ || HasTakenLeave() || !upstream.ended();
    ended_first_ = 1 + (wished ? RUM_CLIENT : RUM_UPSTREAM);
  }
  if (LooksFor() != looks_for_) ArmLooks();
  if (Flow::Done(client, upstream) && (Flow::Done(upstream, client) || ServerOwesNothing())) {
    Finish(ended_first_ == 1 + RUM_CLIENT ? RUM_CLOSE_CLIENT : RUM_CLOSE_UPSTREAM, {});
  }
}

LastBytes* Session::LastBytesOf(uint32_t which) {
  return which == RUM_CLIENT && config_->module().farewell_size ? &last_ : nullptr;
}

// The client has said its protocol's farewell, and the server has answered nothing.
bool Session::HasTakenLeave() const {
  const rum_module& module = config_->module();
  return Unanswered() > 0 && last_.EndWith({module.farewell, module.farewell_size});
}

// A client that ends its side behind a farewell that is all it has said since the server spoke last
// waits for nothing: the server's end, and the turn of the loop that reads it, are spared. Over TLS
// a side may still read the other's close_notify.
bool Session::ServerOwesNothing() const {
  const Side &client = side(RUM_CLIENT), &upstream = side(RUM_UPSTREAM);
  return client.plain() && upstream.plain() && !upstream.readable() &&
         Unanswered() == config_->module().farewell_size && HasTakenLeave();
}

// A client may close without reading TLS's last records, which causes a reset: if one side has
// ended properly and nothing waits for the client, nothing is lost.
void Session::LoseClientInRelay() {
  const bool by_client = ended_first_ ? ended_first_ == 1 + RUM_CLIENT : side(RUM_CLIENT).ended();
  const bool over = side(RUM_CLIENT).ended() || side(RUM_UPSTREAM).ended();
  if (!over || flows_[RUM_UPSTREAM].blocked(side(RUM_CLIENT))) {
    return Finish(RUM_CLOSE_CLIENT_RESET, {});
  }
  Finish(by_client ? RUM_CLOSE_CLIENT : RUM_CLOSE_UPSTREAM, {});
}

// A server may close at the client's farewell without reading TLS's close_notify behind it, which
// causes a reset. It is none if the client had the last word and nothing waits for it: a server
// that breaks while it answers has had it.
void Session::LoseUpstreamInRelay() {
  const Side& client = side(RUM_CLIENT);
  const Side& upstream = side(RUM_UPSTREAM);
  const bool over = !upstream.plain() && Flow::Done(client, upstream) && !client.cut();
  if (!over || Unanswered() == 0 || flows_[RUM_UPSTREAM].blocked(client)) {
    return Finish(RUM_CLOSE_UPSTREAM_RESET, {});
  }
  Finish(RUM_CLOSE_CLIENT, {});
}

// -- deadlines and answers from outside -----------------------------------------------------------

// It has lived long enough to be worth a system call per side.
void Session::OnSettled() {
  for (Side& s : sides_) s.KeepAlive();
}

void Session::OnLoginDeadline() {
  if (dialogue_ && dialogue_->awaits_header())
    return End(RUM_CLOSE_CLIENT_PROTOCOL, "no PROXY header received");
  End(RUM_CLOSE_LOGIN_TIMEOUT);
}

void Session::OnPhaseDeadline() {
  if (state_ != State::kDialogue) return;
  if (dialogue_->awaits_header()) return OnLoginDeadline();
  dialogue_->OnPhaseDeadline();
  Converse();
}

// Checked several times per timeout, so that a message costs nothing: a session ends after this
// many consecutive checks without traffic.
void Session::ArmLooks() {
  looks_for_ = LooksFor();
  silent_looks_ = 0;
  seen_bytes_ = Moved();
  (looks_for_ == Looks::kHalfClosed ? worker_.half_close
   : looks_for_ == Looks::kIdle     ? worker_.idle
   : looks_for_ == Looks::kNoLogin  ? worker_.login
                                    : worker_.settled)
      ->Arm(deadline_, *this);
}

Session::Looks Session::LooksFor() const {
  // Such a session has proved nothing, and must end soon.
  if (!logged_in_ && worker_.login->duration().count()) return Looks::kNoLogin;
  const bool one_way = ended_first_ || sides_[0].write_failed() || sides_[1].write_failed();
  if (one_way && worker_.half_close->duration().count()) return Looks::kHalfClosed;
  return worker_.idle->duration().count() ? Looks::kIdle : Looks::kSettled;
}

uint64_t Session::Moved() const {
  const Side &client = sides_[RUM_CLIENT], &upstream = sides_[RUM_UPSTREAM];
  return looks_for_ == Looks::kHalfClosed ? client.sent() + upstream.sent()
                                          : client.received() + upstream.received();
}

bool Session::Silent() {
  const uint64_t bytes = Moved();
  silent_looks_ = bytes == seen_bytes_ ? silent_looks_ + 1 : 0;
  seen_bytes_ = bytes;
  return silent_looks_ >= kLooks;
}

void Session::OnIdleDeadline() {
  OnSettled();
  if (Silent()) return Finish(RUM_CLOSE_IDLE_TIMEOUT, {});
  worker_.idle->Arm(deadline_, *this);
}

void Session::OnHalfCloseDeadline() {
  if (Silent()) return Finish(RUM_CLOSE_HALF_CLOSE_TIMEOUT, {});
  worker_.half_close->Arm(deadline_, *this);
}

void Session::Rearm() {
  if (state_ == State::kClosing || state_ == State::kDead || parted_) return;
  if (!relaying_) return dialogue_->Rearm();
  if (LooksFor() != looks_for_ || !deadline_.armed()) ArmLooks();  // not armed: it was off
}

void Session::OnLingerDeadline() { Die(); }

void Session::OnResolved(std::vector<SocketAddress> addresses) {
  if (state_ != State::kDialogue) return;
  dialogue_->OnResolved(std::move(addresses));
  Converse();
}

void Session::OnResumed(uint64_t ticket, int32_t status, void* payload,
                        void (*drop)(void* payload)) {
  dialogue_->OnResumed(ticket, status, payload, drop);
  Converse();
}

void Session::OnLookedUp(RemoteAnswer answer) {
  dialogue_->OnLookedUp(std::move(answer));
  Converse();
}

void Session::OnSharedFound(SharedAnswer answer) {
  dialogue_->OnSharedFound(std::move(answer));
  Converse();
}

void Session::End(uint32_t reason, std::string_view text) {
  if (state_ == State::kDialogue) {
    dialogue_->Close(reason, text);
    Converse();
  } else if (state_ == State::kRelay || state_ == State::kWatch) {
    Finish(reason, text);
  }
}

// -- the end --------------------------------------------------------------------------------------

void Session::Finish(uint32_t reason, std::string_view text) {
  if (state_ == State::kClosing || state_ == State::kDead) return;
  if (refused_) {  // whatever became of its last words
    reason = refused_;
    text = dialogue_->refused_for();
  }
  if (dialogue_) dialogue_->BlameServer(reason);
  // In a watch, too, rum cannot know the position in the streams: no last words are possible,
  // except those that the module itself sent before it closed.
  bool relayed = state_ == State::kRelay || (state_ == State::kWatch && dialogue_->asking());
  bool held[2] = {};  // the module has not let everything through
  for (uint32_t which : {RUM_CLIENT, RUM_UPSTREAM}) {
    held[which] = dialogue_ && dialogue_->holds(which);
  }
  state_ = State::kClosing;
  Trace("the session ends: {}{}{}", CloseReasonWord(reason), text.empty() ? "" : ", ", text);
  worker_.ForgetCallBack(*this);
  deadline_.Disarm();
  if (dialogue_ && !dialogue_->upstream_open()) dialogue_->DropServer();
  if (module_open_) {
    const rum_module& module = config_->module();
    if (module.session_close) Call(Hook::kSessionClose, module.session_close, reason);
    module_open_ = false;
  }
  const bool reported = parted_;
  const std::string server(destination());
  if (!reported) {
    CountEnd(reason);
    EndLeases(reason);
  }
  for (uint32_t which : {RUM_CLIENT, RUM_UPSTREAM}) {
    if (!relayed) flows_[Other(which)].Empty(side(which), worker_);
    if (side(which).attached()) side(which).Flush();
  }
  if (probe_) {
    ReportToProber(reason, text);
  } else if (!reported) {
    ReportEnd(server, reason, text);
  }
  if (dialogue_) CloseDialogue();
  if (!relayed) return Linger();
  // A receiver of incomplete data must not take it for a proper end.
  bool reset = reason == RUM_CLOSE_CLIENT_RESET || reason == RUM_CLOSE_UPSTREAM_RESET;
  for (uint32_t which : {RUM_CLIENT, RUM_UPSTREAM}) {
    const Side& from = side(Other(which));
    bool more = flows_[Other(which)].blocked(side(which)) || held[Other(which)] ||
                (from.readable() && !from.ended());
    side(which).Close((reset && !side(which).shut()) || more);
  }
  Die();
}

// Failures that concern the server; those to connect are counted by the connector.
void Session::CountEnd(uint32_t reason) {
  const bool in_login = !relaying_ && dialogue_ && dialogue_->upstream_open();
  if (in_login || reason == RUM_CLOSE_UPSTREAM_RESET) server_counters().failed[reason].Add(1);
}

// Before the client learns of the end and can return.
void Session::EndLeases(uint32_t reason) {
  EndShared();
  if (dialogue_) dialogue_->ReleaseLeases(reason);
  lease_.Release();
  entry_.Release();
  load_.Release();
}

void Session::ReportEnd(const std::string& server, uint32_t reason, std::string_view text) {
  worker_.counters.ended[reason].Add(1);
  if (relaying_) worker_.counters.relaying.Sub(1);
  worker_.counters.active.Sub(1);
  worker_.counters.session_times.Add(NowMicros() - opened_);
  if (!HasLogLine(reason)) return;
  LogSession({record_, *listener_, address_, id_, server, opened_, reason, text, sides_[RUM_CLIENT],
              sides_[RUM_UPSTREAM]});
}

// --log-sessions
bool Session::HasLogLine(uint32_t reason) const {
  switch (worker_.settings().log_sessions) {
    case LogSessions::kAll:
      return true;
    case LogSessions::kFailed:
      return (reason != RUM_CLOSE_CLIENT && reason != RUM_CLOSE_UPSTREAM) ||
             record_.login_failures > 0;
    case LogSessions::kNone:
      break;
  }
  return false;
}

// Once, after the module's last hook.
void Session::ReportToProber(uint32_t reason, std::string_view text) {
  ProbeOutcome outcome = {.reason = reason,
                          .text = std::string(text),
                          .peer = Peer(RUM_UPSTREAM),
                          .micros = NowMicros() - opened_,
                          .notes = std::move(record_.notes),
                          .route = std::move(probe_->route)};
  log::Debug("session {}: a probe of {}: {} {}", id_,
             probe_->destination ? probe_->destination->text() : "a user's destination",
             CloseReasonWord(reason), text);
  probe_->done(std::move(outcome));
}

// Gives last words time to arrive: closing with unread bytes would reset the connection. Bounded by
// the linger deadline.
void Session::Linger() {
  bool open = false;
  for (Side& s : sides_) {
    if (!s.attached()) continue;
    size_t reads = 0;
    while (s.readable() && !s.ended() && !s.broken() && ++reads <= kLingerReads) {
      if (s.Read(worker_.buffer(), Worker::kBufferSize) == 0) break;
    }
    const bool flushed = s.Flush();
    if (flushed) s.ShutWrite();
    if ((flushed && s.ended()) || s.broken() || s.write_failed() || reads > kLingerReads) {
      s.Close();
    } else {
      open = true;
    }
  }
  if (!open) return Die();
  if (!deadline_.armed()) worker_.linger->Arm(deadline_, *this);
}

void Session::Die() {
  if (state_ == State::kDead) return;
  state_ = State::kDead;
  deadline_.Disarm();
  if (refused_) worker_.proxy().refused_clients().GiveBack();
  for (uint32_t which : {RUM_CLIENT, RUM_UPSTREAM}) {
    side(which).Close();
    flows_[which].Release(worker_);
  }
  worker_.Bury(std::unique_ptr<Session>(this));
}

}  // namespace rum
