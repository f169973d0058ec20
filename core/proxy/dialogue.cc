// Performs what is due in a dialogue one step at a time, a hook of the module or one of its
// requests, until both directions are relayed or the session ends. In a watch, one direction is
// relayed meanwhile, and the module continues to see the other.
#include "proxy/dialogue.h"

#include <algorithm>

#include "base/close_reasons.h"
#include "lookup/map_walk.h"
#include "module/module_config.h"
#include "proxy/probe.h"
#include "proxy/proxy.h"
#include "proxy/session.h"
#include "proxy/worker.h"
#include "settings/settings.h"

namespace rum {
namespace {

constexpr size_t kWindow = 64 * 1024;       // bytes a module may leave unconsumed
constexpr size_t kHighWater = 1024 * 1024;  // bytes that wait for one side: stop reading the other
constexpr unsigned kRoundsMost = 1000;
constexpr unsigned kPartingReads = 16;  // of a server that is given up

}  // namespace

size_t Dialogue::Window::most() const { return need > kWindow ? need : kWindow; }

Dialogue* Dialogue::New(Session& session, Worker& worker) {
  return new (worker.dialogues.Take()) Dialogue(session, worker);
}

void DeleteDialogue::operator()(Dialogue* dialogue) const {
  Worker& worker = dialogue->worker_;
  dialogue->~Dialogue();
  worker.dialogues.GiveBack(dialogue);
}

Dialogue::Dialogue(Session& session, Worker& worker)
    : session_(session),
      worker_(worker),
      sides_(&session.side(0)),
      module_(session.config().module()),
      connector_(session, *this) {}

Dialogue::~Dialogue() = default;

// -- events ---------------------------------------------------------------------------------------

void Dialogue::BeginClient(bool tls, bool header) {
  worker_.login->Arm(login_, session_);
  if (tls) tls_[RUM_CLIENT] = {.asked = true, .begun = false, .own = true, .name = {}};
  header_ = header;
  if (header) ArmPhase(*worker_.header);
}

void Dialogue::BeginProbe(const Probe& probe) {
  worker_.probe->Arm(login_, session_);
  if (probe.destination) connect_ = {*probe.destination};
}

void Dialogue::OnReady(uint32_t which, uint32_t what) {
  Side& s = side(which);
  const bool fault = what & (EPOLLERR | EPOLLHUP);
  if (handed_) {
    // Nobody reads this side now, so a reset would go unnoticed.
    if (fault && (s.ended() || Unread(which))) s.AskError();
  } else if (which == RUM_UPSTREAM && connector_.active()) {
    connector_.OnSocketReady(what);
  } else if (fault && (relay_ || pause_ || held_) && !s.handshaking()) {
    s.AskError();  // here, too; but a handshake reads, and reports the outcome
  }
}

void Dialogue::OnPhaseDeadline() {
  if (connector_.active()) {
    connector_.OnDeadline();
  } else if (tls_[RUM_UPSTREAM].own && side(RUM_UPSTREAM).handshaking()) {
    LeaveServer(RUM_CLOSE_FIRST_BYTE_TIMEOUT, "in the TLS handshake");
  } else {
    Close(RUM_CLOSE_FIRST_BYTE_TIMEOUT, {});
  }
}

void Dialogue::OnAnswered() {
  if (keeping_) keeping_->asked_at = side(RUM_UPSTREAM).received();
  const TlsStream* tls = side(RUM_UPSTREAM).tls();
  connector_.Answered(tls && tls->open());
}

// Arms what the settings before left off; deadlines that run go on.
void Dialogue::Rearm() {
  if (!login_.armed() && !relay_ && !held_ && !session_.probing())
    worker_.login->Arm(login_, session_);
  if (phase_.armed() || header_) return;
  if (connector_.active()) {
    ArmPhase(*worker_.connecting);
  } else if ((tls_[RUM_UPSTREAM].own && side(RUM_UPSTREAM).handshaking()) ||
             (upstream_open_ && !relay_ && !upstream_spoke_)) {
    ArmPhase(*worker_.first_byte);
  }
}

void Dialogue::BeginRefusal(std::string_view why) {
  refused_for_ = why;
  worker_.refused->Arm(login_, session_);
}

bool Dialogue::alone() const { return session_.probing() || session_.refused(); }

// -- what is due ----------------------------------------------------------------------------------

Dialogue::Next Dialogue::Proceed() {
  while (true) {
    if (close_reason_) return Next::kClose;
    if (header_) {
      if (!ReadHeader()) return Next::kWait;
      if (!header_) return Next::kWelcome;
    } else if (!Step()) {
      break;
    }
  }
  // A requested relay begins when nothing else is due.
  const bool ready = relay_ && upstream_open_ && !side(RUM_CLIENT).handshaking() &&
                     !side(RUM_UPSTREAM).handshaking();
  return ready ? Next::kRelay : Next::kWait;
}

bool Dialogue::Flush() {
  bool again = false;
  for (uint32_t which : {RUM_CLIENT, RUM_UPSTREAM}) {
    Side& s = side(which);
    if (!s.attached() || !s.waiting() || s.write_failed()) continue;
    rounds_ = 0;
    bool held = s.waiting() > kHighWater;  // the other side was not read meanwhile
    s.Flush();
    again |= s.write_failed() || (held && s.waiting() <= kHighWater);
    // Nobody will read these bytes. If they stayed, this loop would spin until the connector is
    // done.
    if (s.write_failed()) s.DropWaiting();
  }
  return again;
}

bool Dialogue::Step() {
  if (gives_up_) DropServer();
  for (uint32_t which : {RUM_CLIENT, RUM_UPSTREAM}) {
    if (tls_[which].asked && AdvanceTls(which)) return true;
  }
  if (lookup_ || connect_) {
    if (auto held = Hold()) return *held;
  }
  if (connect_) {
    BeginConnect();
    return true;
  }
  // A module that repeats a refused request would keep its worker in this loop forever.
  const bool answers = outcome_ || (lookup_ && !asked_map_) || (finding_ && finding_->answer);
  if (answers && ++rounds_ > kRoundsMost) {
    Close(RUM_CLOSE_MODULE, "the module repeats a refused request");
    return true;
  }
  if (outcome_) return DeliverOutcome();
  if (hand_over_ != handed_) {
    HandOver();
    return true;
  }
  if (keeping_) {
    if (auto did = StepKeeping()) return *did;
  }
  const bool watch = handed_.has_value();
  // During a connect, the module gets its outcome first: some protocols require a farewell to a
  // server that has just accepted.
  bool client_lost = side(RUM_CLIENT).broken() || side(RUM_CLIENT).write_failed();
  if (!watch && client_lost && !client_missed_ && (relay_ || !connector_.active())) {
    LoseClient();
    return true;
  }
  if (!watch && upstream_open_ && side(RUM_UPSTREAM).broken()) {
    if (keeping_ && LoseTaken()) return true;
    Close(RUM_CLOSE_UPSTREAM_GONE, {});
    return true;
  }
  return !relay_ && StepModule();
}

// What the module waits for, then bytes and ends. Nothing of it while it waits for others to
// answer.
bool Dialogue::StepModule() {
  if (asked_map_ || asks_others()) return FindReset();
  if (lookup_) return LookUp();
  if (finding_) {
    StepFinding();
    return true;
  }
  if (resumed_) return DeliverResumed();
  if (!rung_.empty()) return DeliverTimer();
  if (pause_) return FindReset();
  if (turn_) return DeliverDrained();
  if (handed_) return Deliver(Other(*handed_)) || DeliverEnd(Other(*handed_));
  return Deliver(RUM_CLIENT) || Deliver(RUM_UPSTREAM) || DeliverEnd(RUM_CLIENT) ||
         DeliverEnd(RUM_UPSTREAM);
}

void Dialogue::BeginConnect() {
  auto destinations = std::move(*connect_);
  connect_.reset();
  if (keeping_) {
    keeping_->generation = worker_.kept.generation();
    keeping_->sequence = worker_.map() ? worker_.map()->sequence() : 0;
    keeping_->value.reset();
  }
  Probe* probe = session_.probe();
  if (probe && !probe->destination) {  // a probe that only asks for the destination
    probe->route = std::move(destinations);
    return Close(RUM_CLOSE_PROBED, {});
  }
  connector_.Start(std::move(destinations));
}

void Dialogue::DropServer() {
  Side& s = side(RUM_UPSTREAM);
  if (!std::exchange(gives_up_, false)) return s.Close();
  session_.Trace("the module gives up {}", connector_.server());
  const bool gone = s.ended() || s.broken();
  if (!s.handshaking() && !s.broken()) {
    s.Flush();
    s.ShutWrite();
    // With unread bytes the close would be a reset, which could overtake what was sent.
    for (unsigned reads = 0; reads < kPartingReads && s.readable() && !s.ended(); ++reads) {
      const size_t n = s.Read(worker_.buffer(), Worker::kBufferSize);
      worker_.counters.upstream_bytes.Add(n);
      if (n == 0) break;
    }
  }
  s.Close();
  tls_[RUM_UPSTREAM] = {};
  windows_[RUM_UPSTREAM].bytes.Clear();
  windows_[RUM_UPSTREAM].fresh = false;
  upstream_host_.clear();
  upstream_spoke_ = false;
  phase_.Disarm();
  connector_.Leave(gone);
}

// During a pause nothing is read. A reset that arrived with the bytes before it is not reported
// again.
bool Dialogue::FindReset() {
  bool found = false;
  for (uint32_t which : {RUM_CLIENT, RUM_UPSTREAM}) {
    Side& s = side(which);
    if (!s.attached() || !s.read_on() || s.broken() || s.handshaking()) continue;
    s.AskError();
    found |= s.broken();
  }
  return found;
}

bool Dialogue::DeliverOutcome() {
  uint32_t reason = *outcome_;
  outcome_.reset();
  if (reason == 0) {
    upstream_open_ = true;
    if (relay_) {
      OnAnswered();  // in the relay, nobody waits for its first bytes
    } else {
      ArmPhase(*worker_.first_byte);
    }
  }
  if (module().upstream_open && !relay_)
    session_.Call(Hook::kUpstreamOpen, module().upstream_open, reason);
  if (reason != 0 && !connect_) {
    Close(reason, outcome_detail_);
  }
  return true;
}

bool Dialogue::DeliverResumed() {
  auto resumed = *resumed_;
  resumed_.reset();
  if (module().resumed) {
    session_.Call(Hook::kResumed, module().resumed, resumed.ticket, resumed.status,
                  resumed.payload);
  } else if (resumed.drop) {
    InHook in(worker_.hook_place, Hook::kDrop, session_.id());
    resumed.drop(resumed.payload);
  }
  return true;
}

bool Dialogue::DeliverTimer() {
  uint64_t ticket = rung_.front();
  rung_.erase(rung_.begin());
  std::erase_if(timers_, [&](auto& timer) { return timer->ticket == ticket; });
  if (module().timeout) session_.Call(Hook::kTimeout, module().timeout, ticket);
  return true;
}

// True also for a side that accepts nothing any more: no later event would report it.
bool Dialogue::Drained(uint32_t which) const {
  if (!(awaits_ & (1u << which)) || pause_ || relay_) return false;
  const Side& s = side(which);
  return s.waiting() <= below_[which] || s.broken() || s.write_failed();
}

// Runs once per turn: a module that always has more to send, and a peer that accepts it all, must
// not occupy the worker.
bool Dialogue::DeliverDrained() {
  turn_ = false;
  for (uint32_t which : {RUM_CLIENT, RUM_UPSTREAM}) {
    if (!Drained(which)) continue;
    awaits_ &= static_cast<uint8_t>(~(1u << which));
    if (++rounds_ > kRoundsMost) {
      Close(RUM_CLOSE_MODULE, "the module awaits again and again what it has not sent");
      return true;
    }
    session_.Call(Hook::kDrained, module().drained, which);
    return true;
  }
  return true;
}

bool Dialogue::Fill(uint32_t which) {
  Side& s = side(which);
  Window& w = windows_[which];
  if (!s.attached() || !s.readable() || s.ended() || s.broken() || s.handshaking()) return false;
  if (which == RUM_UPSTREAM && !upstream_open_) return false;
  if (!(which == RUM_CLIENT ? module().client_data : module().upstream_data) && !w.forward) {
    return false;  // no hook reads them: the bytes wait in the kernel for the relay
  }
  if (handed_ ? w.forward || Unread(which) : side(Other(which)).waiting() > kHighWater) {
    return false;
  }
  size_t room = std::min(w.most() - std::min(w.most(), w.bytes.size()), Worker::kBufferSize);
  if (session_.refused()) {
    if (s.received() >= RUM_MOST_REFUSED_BYTES) {
      Close(RUM_CLOSE_LIMIT, {});
      return true;
    }
    room = std::min(room, RUM_MOST_REFUSED_BYTES - static_cast<size_t>(s.received()));
  }
  if (room == 0) return false;
  size_t n = s.Read(worker_.buffer(), room);
  if (n == 0) return s.ended() || s.broken();
  session_.Spoke(which);
  if (LastBytes* last = session_.LastBytesOf(which)) last->Add(worker_.buffer(), n);
  (which == RUM_CLIENT ? worker_.counters.client_bytes : worker_.counters.upstream_bytes).Add(n);
  w.bytes.Append(worker_.buffer(), n);
  w.fresh = true;
  if (which == RUM_UPSTREAM && !upstream_spoke_) {
    upstream_spoke_ = true;
    session_.Trace("the server has sent its first bytes");
    OnAnswered();
    phase_.Disarm();
  }
  return true;
}

bool Dialogue::Deliver(uint32_t which) {
  Window& w = windows_[which];
  bool came = Fill(which);
  if (w.forward && !w.bytes.empty()) return ForwardWindow(which) || came;
  // need() applies to the next call only, also for bytes that the hook has already seen.
  bool due =
      w.need && w.bytes.size() >= w.need ? true : w.fresh && (!w.need || side(which).ended());
  if (!due) return came;
  auto hook = which == RUM_CLIENT ? module().client_data : module().upstream_data;
  if (!hook) return came;
  w.fresh = false;
  w.need = 0;
  size_t size = w.bytes.size();
  int64_t consumed = session_.Call(which == RUM_CLIENT ? Hook::kClientData : Hook::kUpstreamData,
                                   hook, w.bytes.data(), size);
  JudgeConsumed(which, consumed, size);
  return true;
}

// Passes the front of the window on, as the module has said with forward().
bool Dialogue::ForwardWindow(uint32_t which) {
  Window& w = windows_[which];
  if (which == RUM_CLIENT && !upstream_open_) return false;  // still being connected
  size_t n = std::min<uint64_t>(w.forward, w.bytes.size());
  session_.QueueFor(Other(which), w.bytes.data(), n);
  if (keeping_) keeping_->asked_at = side(Other(which)).received();
  w.bytes.Consume(n);
  w.forward -= n;
  w.fresh = !w.bytes.empty();
  return true;
}

// What a data hook has answered that saw `size` bytes.
void Dialogue::JudgeConsumed(uint32_t which, int64_t consumed, size_t size) {
  Window& w = windows_[which];
  if (consumed < 0) {
    Close(which == RUM_CLIENT ? RUM_CLOSE_CLIENT_PROTOCOL : RUM_CLOSE_UPSTREAM_PROTOCOL, {});
  } else if (static_cast<uint64_t>(consumed) > size) {
    Close(RUM_CLOSE_MODULE, "the module consumed more bytes than there were");
  } else if (which == RUM_UPSTREAM && gives_up_) {
    rounds_ = 0;  // the window is dropped with the server
  } else if (consumed > 0) {
    rounds_ = 0;
    w.bytes.Consume(static_cast<size_t>(consumed));
    w.fresh = !w.bytes.empty();
  } else if (w.need && w.need <= size) {
    w.need = 0;  // requests bytes that are already there but not consumed: this would never end
  } else if (size >= w.most() && !w.forward && !relay_ && !lookup_ && !finding_ && !connect_ &&
             !pause_ && !connector_.active() && !upstream_open_) {
    // No pending event could make the module consume them.
    Close(which == RUM_CLIENT ? RUM_CLOSE_CLIENT_PROTOCOL : RUM_CLOSE_UPSTREAM_PROTOCOL,
          "more bytes than the module's window");
  }
}

// The module may still have to end the server's session, without the client.
void Dialogue::LoseClient() {
  Window& w = windows_[RUM_CLIENT];
  const bool report = !relay_ && module().side_end && !w.end_reported;
  w.end_reported = true;
  client_missed_ =
      report && session_.Call(Hook::kSideEnd, module().side_end, RUM_CLIENT) == RUM_KEEP;
  if (!client_missed_) Close(RUM_CLOSE_CLIENT_GONE, {});
}

bool Dialogue::DeliverEnd(uint32_t which) {
  Window& w = windows_[which];
  if (!side(which).ended() || w.end_reported) return false;
  if (which == RUM_UPSTREAM && !upstream_open_) return false;  // it was given up
  w.end_reported = true;
  if (module().side_end && session_.Call(Hook::kSideEnd, module().side_end, which) == RUM_KEEP)
    return true;
  if (handed_) {
    Relay();  // nothing left to watch; the relay passes the end on
  } else {
    Close(which == RUM_CLIENT ? RUM_CLOSE_CLIENT_GONE : RUM_CLOSE_UPSTREAM_GONE, {});
  }
  return true;
}

void Dialogue::OnConnected(uint32_t reason, std::string_view detail, const Address& destination) {
  session_.Trace("{}: {}", destination.text(), reason ? CloseReasonWord(reason) : "connected");
  outcome_detail_ = detail;
  if (destination.kind == Address::Kind::kTcp) upstream_host_ = destination.host;
  if (reason == 0) SendHeader();
  if (reason != 0 || !destination.tls) {
    outcome_ = reason;
    return;
  }
  tls_[RUM_UPSTREAM] = {.asked = true, .begun = false, .own = true, .name = destination.host};
  ArmPhase(*worker_.first_byte);
}

// -- the watch ------------------------------------------------------------------------------------

// Unconsumed bytes of a direction that is now relayed are passed on; those that arrive after it is
// taken back go to its hook again.
void Dialogue::HandOver() {
  if (handed_) {
    session_.flow(*handed_).Empty(side(Other(*handed_)), worker_);
    handed_.reset();
    session_.EndWatch();
    session_.Trace("the module reads both directions again");
    return;
  }
  uint32_t from = *hand_over_;
  Window& w = windows_[from];
  session_.QueueFor(Other(from), w.bytes.data(), w.bytes.size());
  w = {};
  Window& seen = windows_[Other(from)];
  seen.fresh = !seen.bytes.empty();  // bytes that the module left unconsumed may be due now
  seen.end_reported = false;
  handed_ = from;
  phase_.Disarm();
  session_.Trace("relaying what the {} sends; the module reads the other side",
                 from == RUM_CLIENT ? "client" : "server");
  session_.BeginWatch();
}

// Moves the relayed direction with its end, and of the other the bytes that the module has let
// through.
Dialogue::Moved Dialogue::MoveWatch() {
  uint32_t seen = Other(*handed_);
  Window& w = windows_[seen];
  bool held = Unread(seen);
  const bool turned = session_.Turning();
  bool more = session_.MoveFrom(*handed_, Flow::kAll);
  const uint64_t let = w.bytes.empty() ? w.forward : 0;
  if (let && keeping_ && !keeping_->tail.empty()) {
    Moved moved = MoveUntil(seen);
    moved.more |= more || (turned && !session_.Turning());
    return moved;
  }
  uint64_t before = side(seen).received();
  more |= session_.MoveFrom(seen, let);
  w.forward -= side(seen).received() - before;
  more |= turned && !session_.Turning();
  if (let && side(seen).ended()) w.forward = 0;  // the rest will not arrive; report the end
  return {.more = more, .due = (held && !Unread(seen)) || (let && !w.forward)};
}

// Not read because the other side accepts nothing, or because the module wants no more.
bool Dialogue::Unread(uint32_t which) const {
  if (session_.flow(which).blocked(side(Other(which)))) return true;
  if (which == handed_) return false;
  const Window& w = windows_[which];
  return pause_ || asks_others() || w.bytes.size() >= w.most() ||
         side(which).waiting() > kHighWater;
}

// -- the end --------------------------------------------------------------------------------------

void Dialogue::PassOn() {
  for (uint32_t from : {RUM_CLIENT, RUM_UPSTREAM}) {
    Buffer& bytes = windows_[from].bytes;
    session_.QueueFor(Other(from), bytes.data(), bytes.size());
  }
  connector_.Succeeded();
}

void Dialogue::BlameServer(uint32_t reason) {
  if (reason == RUM_CLOSE_FIRST_BYTE_TIMEOUT || reason == RUM_CLOSE_UPSTREAM_GONE ||
      reason == RUM_CLOSE_UPSTREAM_RESET) {
    connector_.Blame(reason);
  }
}

// A client that leaves before the verdict on its password may already know it.
void Dialogue::ReleaseLeases(uint32_t reason) {
  LeavePause();
  connector_.LeaveQueue();
  candidate_.Drop();
  const bool left = reason == RUM_CLOSE_CLIENT_GONE || reason == RUM_CLOSE_CLIENT_RESET ||
                    reason == RUM_CLOSE_CLIENT_PROTOCOL;
  if (left && proof_.under_way()) session_.LoginFailed();
  proof_.Release();
}

}  // namespace rum
