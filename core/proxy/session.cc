// The life of a session: events, the relay, deadlines, the end. It begins in session_open.cc; until
// its relay a Dialogue says what is next; what modules ask of it is in session_calls.cc.
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

// A peer that goes on sending more than this at once after its session ended is cut off.
constexpr size_t kLingerReads = 16;
constexpr unsigned kWatchRounds = 8;  // windows of a watched side in one turn

}  // namespace

Session::Session(Worker& worker, Listener* listener, const SocketAddress& address)
    : worker_(worker),
      listener_(listener),
      id_(worker.NextSessionId()),
      opened_(NowMicros()),
      dialogue_(Dialogue::New(*this, worker)),
      config_(worker.module_config()),
      address_(address) {}

Session::~Session() = default;

HookPlace& Session::hook_place() const { return worker_.hook_place; }

// -- events ---------------------------------------------------------------------------------------

void Session::OnReady(uint32_t which, uint32_t what) {
  Side& s = side(which);
  bool was_writable = s.writable();
  const bool fault = what & (EPOLLERR | EPOLLHUP);
  s.Notice(what);
  switch (state_) {
    case State::kRelay:
      // Nobody reads this side now, so a reset would not be seen.
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
  if (moved.more) worker_.CallBack(*this);
  return moved.due;
}

void Session::BeginWatch() {
  state_ = State::kWatch;
  LoggedIn();
}

void Session::EndWatch() { state_ = State::kDialogue; }

bool Session::AttachUpstream(Fd fd, bool local) {
  return side(RUM_UPSTREAM).Attach(worker_.loop(), std::move(fd), *this, RUM_UPSTREAM, local);
}

// Behind all that flows to this side, what is in a pipe included.
void Session::QueueFor(uint32_t which, const void* bytes, size_t size) {
  flows_[Other(which)].Empty(side(which), worker_);
  side(which).Queue(bytes, size);
  // A server that is spoken to first has shown all that it can by accepting: whether it answers may
  // be the client's doing.
  if (which == RUM_UPSTREAM && dialogue_) dialogue_->OnAnswered();
}

// Answers go first: a module may still ask of the session while it drops one.
void Session::CloseDialogue() {
  dialogue_->DropAnswers();
  dialogue_.reset();
}

// -- the relay ------------------------------------------------------------------------------------

void Session::StartRelay() {
  dialogue_->PassOn();
  CloseDialogue();
  state_ = State::kRelay;
  Trace("both ways are passed on");
  LoggedIn();
  MoveBoth(true, true);
}

// Once, though a module may take a way back and log in anew.
void Session::LoggedIn() {
  if (logged_in_) return;
  logged_in_ = true;
  entry_.LoggedIn();
  if (dialogue_) dialogue_->OnLoggedIn();
  if (worker_.settings().log_logins) LogLogin(record_, *listener_, address_, id_, destination());
  worker_.counters.relaying.Add(1);
  worker_.counters.logins.Add(1);
  worker_.counters.login_times.Add(NowMicros() - opened_);
  ArmLooks();
}

std::string_view Session::destination() const {
  if (load_) return load_.key();
  return dialogue_ ? std::string_view(dialogue_->connector().server()) : std::string_view();
}

// Moves one way. True: there is more than a turn's share.
bool Session::MoveFrom(uint32_t which, uint64_t most) {
  Side& from = side(which);
  uint64_t before = from.received();
  bool more = flows_[which].Move(from, side(Other(which)), worker_, most) == Flow::Moved::kSome;
  uint64_t moved = from.received() - before;
  (which == RUM_CLIENT ? worker_.counters.client_bytes : worker_.counters.upstream_bytes)
      .Add(moved);
  return more;
}

void Session::MoveBoth(bool from_client, bool from_upstream) {
  bool more = false;
  const bool turned = Turning();
  if (from_client) more |= MoveFrom(RUM_CLIENT, Flow::kAll);
  if (from_upstream) more |= MoveFrom(RUM_UPSTREAM, Flow::kAll);
  more |= turned && !Turning();  // what waited for TLS goes on
  JudgeRelay();
  if (state_ == State::kRelay && more) worker_.CallBack(*this);
}

void Session::OnMoreToMove() {
  if (state_ == State::kRelay) return MoveBoth(true, true);
  Converse();
}

// Has a side ended or broken, and is the session over by it?
void Session::JudgeRelay() {
  Side& client = side(RUM_CLIENT);
  Side& upstream = side(RUM_UPSTREAM);
  if (!client.ended() && !upstream.ended() && !client.broken() && !upstream.broken() &&
      !client.write_failed() && !upstream.write_failed()) {
    return;
  }
  if (client.broken()) return LoseClientInRelay();
  if (upstream.broken()) return Finish(RUM_CLOSE_UPSTREAM_RESET, {});
  // Neither takes what the other has sent: nothing can be passed on any more.
  if (client.write_failed() && upstream.write_failed()) return Finish(RUM_CLOSE_CLIENT_RESET, {});
  // A side that takes no more may have sent something before it broke: that is passed on first.
  if (client.write_failed() && Flow::Done(client, upstream)) return LoseClientInRelay();
  if (upstream.write_failed() && Flow::Done(upstream, client)) {
    return Finish(RUM_CLOSE_UPSTREAM_RESET, {});
  }
  if (!ended_first_) {
    ended_first_ = client.ended() ? 1 + RUM_CLIENT : upstream.ended() ? 1 + RUM_UPSTREAM : 0;
  }
  if (LooksFor() != looks_for_) ArmLooks();
  if (Flow::Done(client, upstream) && Flow::Done(upstream, client)) {
    Finish(ended_first_ == 1 + RUM_CLIENT ? RUM_CLOSE_CLIENT : RUM_CLOSE_UPSTREAM, {});
  }
}

// A client may close with the last words of TLS unread, and resets by that: when one side has said
// its end and nothing waits for the client, nothing is lost.
void Session::LoseClientInRelay() {
  const bool by_client = ended_first_ ? ended_first_ == 1 + RUM_CLIENT : side(RUM_CLIENT).ended();
  const bool over = side(RUM_CLIENT).ended() || side(RUM_UPSTREAM).ended();
  if (!over || flows_[RUM_UPSTREAM].blocked(side(RUM_CLIENT))) {
    return Finish(RUM_CLOSE_CLIENT_RESET, {});
  }
  Finish(by_client ? RUM_CLOSE_CLIENT : RUM_CLOSE_UPSTREAM, {});
}

// -- deadlines and answers from outside -----------------------------------------------------------

// It has lived long enough to be worth a system call for each side.
void Session::OnSettled() {
  for (Side& s : sides_) s.KeepAlive();
}

void Session::OnLoginDeadline() {
  if (dialogue_ && dialogue_->awaits_header())
    return End(RUM_CLOSE_CLIENT_PROTOCOL, "no PROXY header came");
  End(RUM_CLOSE_LOGIN_TIMEOUT);
}

void Session::OnPhaseDeadline() {
  if (state_ != State::kDialogue) return;
  if (dialogue_->awaits_header()) return OnLoginDeadline();
  dialogue_->OnPhaseDeadline();
  Converse();
}

// Looked at several times in a timeout, so that a message costs nothing: a session ends after so
// many looks in a row that saw no byte move.
void Session::ArmLooks() {
  looks_for_ = LooksFor();
  silent_looks_ = 0;
  seen_bytes_ = Moved();
  (looks_for_ == Looks::kHalfClosed ? worker_.half_close
   : looks_for_ == Looks::kIdle     ? worker_.idle
                                    : worker_.settled)
      ->Arm(deadline_, *this);
}

Session::Looks Session::LooksFor() const {
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
  if (state_ == State::kClosing || state_ == State::kDead) return;
  if (!logged_in_) return dialogue_->Rearm();
  if (LooksFor() != looks_for_ || !deadline_.armed()) ArmLooks();  // what was off has armed nothing
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
  if (dialogue_) dialogue_->BlameServer(reason);
  // In the watch, too, rum cannot know where in what flows it is: no words fit in there but those
  // that the module itself sent before it closed.
  bool relayed = state_ == State::kRelay || (state_ == State::kWatch && dialogue_->asking());
  bool held[2] = {};  // the module has not let all of it through
  for (uint32_t which : {RUM_CLIENT, RUM_UPSTREAM}) {
    held[which] = dialogue_ && dialogue_->holds(which);
  }
  state_ = State::kClosing;
  Trace("it ends: {}{}{}", CloseReasonWord(reason), text.empty() ? "" : ", ", text);
  worker_.ForgetCallBack(*this);
  deadline_.Disarm();
  if (dialogue_ && !dialogue_->upstream_open()) side(RUM_UPSTREAM).Close();  // half connected
  if (module_open_) {
    const rum_module& module = config_->module();
    if (module.session_close) Call(Hook::kSessionClose, module.session_close, reason);
    module_open_ = false;
  }
  EndShared();
  const std::string server(destination());
  // Before the client learns of the end, and comes again.
  if (dialogue_) dialogue_->ReleaseLeases(reason);
  lease_.Release();
  entry_.Release();
  load_.Release();
  for (uint32_t which : {RUM_CLIENT, RUM_UPSTREAM}) {
    if (!relayed) flows_[Other(which)].Empty(side(which), worker_);
    if (side(which).attached()) side(which).Flush();
  }
  if (probe_) {
    ReportToProber(reason, text);
  } else {
    worker_.counters.ended[reason].Add(1);
    if (logged_in_) worker_.counters.relaying.Sub(1);
    worker_.counters.active.Sub(1);
    worker_.counters.session_times.Add(NowMicros() - opened_);
    if (HasLogLine(reason)) {
      LogSession({record_, *listener_, address_, id_, server, opened_, reason, text,
                  sides_[RUM_CLIENT], sides_[RUM_UPSTREAM]});
    }
  }
  if (dialogue_) CloseDialogue();
  if (!relayed) return Linger();
  // Whoever has not been given everything must not take it for a proper end.
  bool reset = reason == RUM_CLOSE_CLIENT_RESET || reason == RUM_CLOSE_UPSTREAM_RESET;
  for (uint32_t which : {RUM_CLIENT, RUM_UPSTREAM}) {
    const Side& from = side(Other(which));
    bool more = flows_[Other(which)].blocked(side(which)) || held[Other(which)] ||
                (from.readable() && !from.ended());
    side(which).Close((reset && !side(which).shut()) || more);
  }
  Die();
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

// Once, when the module has had its last word.
void Session::ReportToProber(uint32_t reason, std::string_view text) {
  ProbeOutcome outcome = {.reason = reason,
                          .text = std::string(text),
                          .peer = Peer(RUM_UPSTREAM),
                          .micros = NowMicros() - opened_,
                          .notes = std::move(record_.notes),
                          .route = std::move(probe_->route)};
  log::Debug("session {}: a probe of {}: {} {}", id_,
             probe_->destination ? probe_->destination->text() : "a user's way",
             CloseReasonWord(reason), text);
  probe_->done(std::move(outcome));
}

// Gives last words the time to arrive: a close with unread bytes would reset them away. Bounded by
// the linger deadline.
void Session::Linger() {
  bool open = false;
  for (Side& s : sides_) {
    if (!s.attached()) continue;
    size_t reads = 0;
    while (s.readable() && !s.ended() && !s.broken() && ++reads <= kLingerReads) {
      if (s.Read(worker_.buffer(), Worker::kBufferSize) == 0) break;
    }
    bool told = s.Flush();
    if (told) s.ShutWrite();
    if ((told && s.ended()) || s.broken() || s.write_failed() || reads > kLingerReads) {
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
  for (uint32_t which : {RUM_CLIENT, RUM_UPSTREAM}) {
    side(which).Close();
    flows_[which].Release(worker_);
  }
  worker_.Bury(std::unique_ptr<Session>(this));
}

}  // namespace rum
