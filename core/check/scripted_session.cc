#include "check/scripted_session.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace rum {
namespace {

using namespace scripted;
using Kind = Deed::Kind;

}  // namespace

ScriptedSession::ScriptedSession(ScriptedHost& host, std::shared_ptr<ScriptedHost::Config> config,
                                 size_t number)
    : host_(host),
      number_(number),
      module_(host.module_),
      config_(std::move(config)),
      handle_(host_table::NewHandle(this)) {
  sides[RUM_CLIENT].there = true;
  if (host_.tls_listener) sides[RUM_CLIENT].tls = Tls::kOn;
}

ScriptedSession::~ScriptedSession() {
  if (!over) {
    EndWith(RUM_CLOSE_KILLED);
    Finish();
  }
  host_table::ForgetHandle(handle_);
}

// Calls a hook and catches what must not leave it.
template <class Hook>
bool ScriptedSession::Run(const char* name, Hook hook) {
  host_table::HookScope scope(name);
  host_table::SetCurrent(&host_, host_.world_.get());
  Act();
  ++depth_;
  ++idle_hooks_;
  if (depth_ == 1) sent_in_hook_ = 0;
  bool fine = true;
  try {
    hook();
  } catch (...) {
    fine = false;
  }
  Act();
  --depth_;
  if (!fine) {
    host_table::Violate(*host_.world_, std::string(name) + " threw an exception (rule 7)");
    EndWith(RUM_CLOSE_MODULE);
  }
  return fine;
}

int32_t ScriptedSession::Refuse(const char* call, int32_t error) {
  host_.deeds_.push_back({Kind::kRefused, 0, static_cast<uint64_t>(-error), call, {}});
  return error;
}

// -- what the driver does -------------------------------------------------------------------------

void ScriptedSession::Open() {
  if (!module_.session_open) {
    Connect("", 0);
    Relay();
    if (!relay) EndWith(RUM_CLOSE_NO_DESTINATION);
    return Settle();
  }
  int32_t status = 0;
  Run("session_open", [&] {
    status = module_.session_open(handle(), config_ ? config_->pointer : nullptr,
                                  host_.world_->worker_data, &data_);
  });
  if (status > 0) {
    host_table::Violate(*host_.world_, "session_open returned " + std::to_string(status) +
                                           ", which is neither RUM_OK nor an error");
  }
  if (status < 0) {
    refused = true;
    EndWith(RUM_CLOSE_MODULE, "session_open failed");
  }
  Settle();
}

void ScriptedSession::OpenProbe(const std::string& destination,
                                const std::optional<std::string>& who, bool is_default) {
  probe = true;
  aimed_ = !destination.empty();
  sides[RUM_CLIENT].there = false;
  // The strings only live during this hook.
  auto address = std::make_unique<std::string>(destination);
  auto name = std::make_unique<std::string>(who.value_or(""));
  auto told = std::make_unique<rum_probe>();
  *told = {.struct_size = sizeof(rum_probe),
           .is_default = is_default,
           .destination = destination.empty() ? nullptr : address->c_str(),
           .user = who ? name->c_str() : nullptr,
           .user_size = name->size()};
  int32_t status = 0;
  Run("probe_open", [&] {
    status = module_.probe_open(handle(), config_ ? config_->pointer : nullptr,
                                host_.world_->worker_data, told.get(), &data_);
  });
  if (status < 0) {
    refused = true;
    EndWith(RUM_CLOSE_MODULE, "probe_open failed");
  } else if (!destination.empty()) {
    connect = destination;
  }
  Settle();
}

void ScriptedSession::OpenRefused(uint32_t why) {
  refusal = why;
  refused_until_ = host_table::clock + RUM_MOST_REFUSED_MILLISECONDS;
  int32_t status = 0;
  Run("refused_open", [&] {
    status = module_.refused_open(handle(), config_ ? config_->pointer : nullptr,
                                  host_.world_->worker_data, why, &data_);
  });
  if (status < 0) {
    refused = true;
    EndWith(why);
  }
  Settle();
}

bool ScriptedSession::Feed(uint32_t side, std::string_view bytes) {
  Side& s = sides[side];
  if (over || !s.there || s.ended || s.broken) return false;
  s.wire += bytes;
  Settle();
  return true;
}

bool ScriptedSession::End(uint32_t side) {
  Side& s = sides[side];
  if (over || !s.there || s.ended || s.broken) return false;
  s.ended = true;
  Settle();
  return true;
}

bool ScriptedSession::Reset(uint32_t side) {
  Side& s = sides[side];
  if (over || !s.there || s.broken) return false;
  s.broken = true;
  bool relaying = (relay || handed) && sides[RUM_UPSTREAM].there;
  if (side == RUM_CLIENT && keeping_.parted) return false;  // the module hears nothing of it
  // The module may still have to end the server's session, or renew a kept connection.
  const bool stale = side == RUM_UPSTREAM && keeping_.value && s.read == 0 && s.wire.empty();
  bool may_go_on = (side == RUM_CLIENT || stale) && !relay && !handed && !s.end_told && !Ending();
  if (may_go_on && ReportEnd(side) == RUM_KEEP) {
    Settle();
    return true;
  }
  if (side == RUM_CLIENT) {
    EndWith(relaying ? RUM_CLOSE_CLIENT_RESET : RUM_CLOSE_CLIENT_GONE);
  } else {
    EndWith(relaying ? RUM_CLOSE_UPSTREAM_RESET : RUM_CLOSE_UPSTREAM_GONE);
  }
  Settle();
  return true;
}

bool ScriptedSession::ConnectOutcome(uint32_t why) {
  if (over || !connect) return false;
  std::string server = FirstServer();
  if (why == 0) {
    const bool tls = server.starts_with("tls:");
    Connected(std::move(server), tls);
    return true;
  }
  connect.reset();
  if (!relay && module_.upstream_open) {
    Run("upstream_open", [&] { module_.upstream_open(data_, handle(), why); });
  }
  if (!connect) EndWith(why);
  Settle();
  return true;
}

// Of the pending connect().
std::string ScriptedSession::FirstServer() const {
  const std::string& list = connect->empty() ? host_.default_destination : *connect;
  return list.substr(0, list.find(','));
}

void ScriptedSession::Connected(std::string server, bool tls) {
  connect.reset();
  if (gives_up_) DropServer();
  sides[RUM_UPSTREAM].there = true;
  server_ = std::move(server);
  if (tls) sides[RUM_UPSTREAM].tls = Tls::kOn;
  if (!relay && module_.upstream_open) {
    Run("upstream_open", [&] { module_.upstream_open(data_, handle(), 0); });
  }
  Settle();
}

bool ScriptedSession::MapAnswer(int32_t status, std::string_view value) {
  if (over || !lookup || relay) return false;
  lookup.reset();
  if (module_.looked_up) {
    auto copy = std::make_unique_for_overwrite<uint8_t[]>(value.size());
    if (!value.empty()) std::memcpy(copy.get(), value.data(), value.size());
    Run("looked_up", [&] {
      module_.looked_up(data_, handle(), status, status == RUM_FOUND ? copy.get() : nullptr,
                        status == RUM_FOUND ? value.size() : 0);
    });
    std::memset(copy.get(), 0xdd, value.size());
  }
  Settle();
  return true;
}

bool ScriptedSession::TlsOutcome(uint32_t side, int32_t status) {
  Side& s = sides[side];
  if (over || s.tls != Tls::kHandshake) return false;
  s.tls = status == 0 ? Tls::kOn : Tls::kOff;
  if (!relay && module_.tls_open) {
    Run("tls_open", [&] { module_.tls_open(data_, handle(), side, status); });
  }
  if (status != 0) EndWith(RUM_CLOSE_TLS);
  Settle();
  return true;
}

bool ScriptedSession::SetReading(uint32_t side, bool reading) {
  Side& s = sides[side];
  if (over || !s.there) return false;
  s.reading = reading;
  if (reading) s.waiting = 0;
  Settle();
  return true;
}

bool ScriptedSession::CloseByRum(uint32_t why) {
  if (over) return false;
  EndWith(why);
  Settle();
  return true;
}

// -- the loop -------------------------------------------------------------------------------------

void ScriptedSession::Settle() {
  if (depth_ > 0 || settling_) return;  // the outer call continues
  settling_ = true;
  Act();
  idle_hooks_ = 0;
  while (!over) {
    if (Ending()) {
      Finish();
      break;
    }
    if (idle_hooks_ > kIdleHooksMost) {
      host_table::Violate(*host_.world_, "the hooks call for each other without end: " +
                                             std::to_string(kIdleHooksMost) +
                                             " in a row consumed nothing");
      EndWith(RUM_CLOSE_MODULE);
      continue;
    }
    if (!Step()) break;
  }
  settling_ = false;
  std::lock_guard lock(host_.world_->mutex);
  for (Deed& log : host_.world_->foreign_logs) host_.deeds_.push_back(std::move(log));
  host_.world_->foreign_logs.clear();
}

// What came of the old server, and how far it got, is none of the new one's.
void ScriptedSession::DropServer() {
  Side& s = sides[RUM_UPSTREAM];
  gives_up_ = false;
  Side renewed;
  renewed.need = s.need;
  renewed.sent = std::move(s.sent);
  s = std::move(renewed);
}

bool ScriptedSession::Step() {
  if (gives_up_) DropServer();
  if (StepKeeping()) return true;
  if (keeping_.parted) {
    return DeliverAnswer() || FireTimer() || Pump(RUM_UPSTREAM) || CallEnd(RUM_UPSTREAM);
  }
  if (relay) {
    BeginRelay();
    return PumpRelay(RUM_CLIENT) || PumpRelay(RUM_UPSTREAM);
  }
  if (handed && PumpRelay(*handed)) return true;
  return DeliverLookup() || DeliverShared() || DeliverAnswer() || FireTimer() ||
         DeliverDrained(RUM_CLIENT) || DeliverDrained(RUM_UPSTREAM) || Pump(RUM_CLIENT) ||
         Pump(RUM_UPSTREAM) || CallEnd(RUM_CLIENT) || CallEnd(RUM_UPSTREAM);
}

bool ScriptedSession::DeliverLookup() {
  const ScriptedHost::World& world = *host_.world_;
  if (!lookup || world.hold_answers || !(world.map_there || world.map_broken)) return false;
  if (world.map_broken) return MapAnswer(RUM_E_FAILED, {});
  auto found = world.map.find(*lookup);
  if (found == world.map.end()) return MapAnswer(RUM_NOT_FOUND, {});
  return MapAnswer(RUM_FOUND, found->second);
}

// Of this process first, then of the others.
bool ScriptedSession::DeliverShared() {
  ScriptedHost::World& world = *host_.world_;
  if (!finding || world.hold_answers) return false;
  const std::string key = std::move(*finding);
  finding.reset();
  std::string value(RUM_MOST_SHARED_VALUE, '\0');
  size_t size = value.size();
  int32_t status = world.shared.Find(key, value.data(), &size, false, host_table::clock);
  value.resize(status == RUM_FOUND ? size : 0);
  if (status == RUM_NOT_FOUND && world.elsewhere_broken) status = RUM_E_FAILED;
  if (auto other = world.elsewhere.find(key);
      status == RUM_NOT_FOUND && other != world.elsewhere.end()) {
    status = RUM_FOUND;
    value = other->second;
  }
  auto copy = std::make_unique_for_overwrite<uint8_t[]>(value.size());
  if (!value.empty()) std::memcpy(copy.get(), value.data(), value.size());
  Run("shared_found", [&] {
    module_.shared_found(data_, handle(), status, status == RUM_FOUND ? copy.get() : nullptr,
                         value.size());
  });
  std::memset(copy.get(), 0xdd, value.size());
  return true;
}

bool ScriptedSession::DeliverAnswer() {
  for (const Answer& answer : host_table::TakeAnswers(answers_)) {
    pause = 0;
    if (module_.resumed) {
      Run("resumed",
          [&] { module_.resumed(data_, handle(), answer.ticket, answer.status, answer.payload); });
    } else if (answer.drop) {
      answer.drop(answer.payload);
    }
    return true;  // there can be only one: a session has one pause at a time
  }
  return false;
}

void ScriptedSession::DropAnswers() {
  if (pause) host_table::KillTicket(pause);
  pause = 0;
  for (const Answer& answer : host_table::TakeAnswers(answers_)) {
    if (answer.drop) answer.drop(answer.payload);
  }
}

bool ScriptedSession::WaitAnswer(uint64_t milliseconds) {
  return host_table::WaitForAnswer(answers_, milliseconds);
}

bool ScriptedSession::FireTimer() {
  if (refused_until_ && refused_until_ <= host_table::clock) {
    EndWith(refusal);
    return true;
  }
  if (keeping_.parted && keeping_.parted_until <= host_table::clock) {
    EndWith(RUM_CLOSE_CLIENT);
    return true;
  }
  auto next = std::min_element(timers_.begin(), timers_.end(), [](auto& a, auto& b) {
    return a.second != b.second ? a.second < b.second : a.first < b.first;
  });
  if (next == timers_.end() || next->second > host_table::clock) return false;
  uint64_t ticket = next->first;
  timers_.erase(next);
  if (module_.timeout) Run("timeout", [&] { module_.timeout(data_, handle(), ticket); });
  return true;
}

bool ScriptedSession::DeliverDrained(uint32_t side) {
  Side& s = sides[side];
  if (!s.below || pause || Ending() || !s.there) return false;
  if (s.waiting > *s.below && !s.broken) return false;
  s.below.reset();
  Run("drained", [&] { module_.drained(data_, handle(), side); });
  return true;
}

std::optional<uint64_t> ScriptedSession::NextTimer() const {
  std::optional<uint64_t> next;
  if (refused_until_) next = refused_until_;
  if (keeping_.parted) next = keeping_.parted_until;
  for (const auto& [ticket, due] : timers_) {
    if (!next || due < *next) next = due;
  }
  return next;
}

// Moves bytes from the wire to the window, as far as rum would read.
void ScriptedSession::Fill(Side& s, const Side& other) {
  if (other.waiting > kHighWater || s.window.size() >= s.limit()) return;
  size_t n = std::min(s.limit() - s.window.size(), s.wire.size());
  if (n == 0) return;
  if (refusal) {
    n = std::min(n, RUM_MOST_REFUSED_BYTES - refused_read_);
    refused_read_ += n;
    if (n == 0) return EndWith(refusal);
  }
  s.window.append(s.wire, 0, n);
  s.wire.erase(0, n);
  s.read += n;
  s.fresh = true;
}

bool ScriptedSession::Pump(uint32_t side) {
  Side& s = sides[side];
  Side& other = sides[Other(side)];
  if (!s.there || Ending() || handed == side) return false;
  if (s.tls == Tls::kHandshake) {
    std::string input = std::move(s.window) + std::move(s.wire);
    s.window.clear();
    s.wire.clear();
    s.fresh = false;
    s.need = 0;
    if (!input.empty()) {
      Deed* last = host_.deeds_.empty() ? nullptr : &host_.deeds_.back();
      if (last && last->kind == Kind::kTlsInput && last->side == side && last->session == number_) {
        last->bytes += input;
      } else {
        host_.deeds_.push_back({Kind::kTlsInput, side, 0, {}, std::move(input)});
      }
      return true;
    }
    if (s.ended) return TlsOutcome(side, RUM_E_FAILED);
    return false;
  }
  bool hook = side == RUM_CLIENT ? module_.client_data : module_.upstream_data;
  if (!hook && !s.forward) return false;  // no hook reads them: the bytes wait
  if (!handed || other.waiting == 0) Fill(s, other);
  if (Ending()) return true;
  if (StopsAtTail(side)) return true;
  if (s.forward && s.window.size() > HeldForTail(side)) {
    if (!other.there) return false;
    size_t n = std::min<uint64_t>(s.forward, s.window.size() - HeldForTail(side));
    keeping_.asked_at[side] = other.read;
    Out(Other(side), std::string_view(s.window).substr(0, n));
    s.window.erase(0, n);
    s.forward -= n;
    s.fresh = !s.window.empty();
    idle_hooks_ = 0;
    return true;
  }
  if (pause || !hook || s.window.empty() || HeldForTail(side)) return false;
  bool at_end = s.ended && s.wire.empty();
  bool due = s.need && s.window.size() >= s.need ? true : s.fresh && (!s.need || at_end);
  return due && CallData(side);
}

bool ScriptedSession::CallData(uint32_t side) {
  Side& s = sides[side];
  std::string name = side == RUM_CLIENT ? "client_data" : "upstream_data";
  auto hook = side == RUM_CLIENT ? module_.client_data : module_.upstream_data;
  size_t limit = s.limit();
  s.need = 0;
  s.fresh = false;
  need_refused_[side] = false;
  ++hook_calls;
  // A copy of exactly this size, overwritten afterwards, exposes a module that keeps the pointer.
  size_t size = s.window.size();
  auto copy = std::make_unique_for_overwrite<uint8_t[]>(size);
  std::memcpy(copy.get(), s.window.data(), size);
  int64_t consumed = 0;
  bool fine = Run(side == RUM_CLIENT ? "client_data" : "upstream_data",
                  [&] { consumed = hook(data_, handle(), copy.get(), size); });
  ScriptedHost::World& world = *host_.world_;
  if (std::memcmp(copy.get(), s.window.data(), size) != 0) {
    host_table::Violate(world, name + " changed the bytes it was shown");
  }
  std::memset(copy.get(), 0xdd, size);
  std::swap(copy, spoiled_);  // lives until the next copy exists, so that their addresses differ
  if (!fine) return true;
  if (consumed < 0) {
    EndWith(side == RUM_CLIENT ? RUM_CLOSE_CLIENT_PROTOCOL : RUM_CLOSE_UPSTREAM_PROTOCOL);
    return true;
  }
  if (static_cast<uint64_t>(consumed) > size) {
    host_table::Violate(world, name + " consumed " + std::to_string(consumed) + " bytes of " +
                                   std::to_string(size));
    EndWith(RUM_CLOSE_MODULE, "the module consumed more bytes than there were");
    return true;
  }
  if (side == RUM_UPSTREAM && gives_up_) return true;
  if (consumed > 0) {
    idle_hooks_ = 0;
    s.window.erase(0, static_cast<size_t>(consumed));
    s.fresh = !s.window.empty();
    return true;
  }
  if (s.forward || relay || s.tls == Tls::kHandshake || Ending()) return true;
  if (need_refused_[side]) {
    host_table::Violate(world, name +
                                   ": need() answered RUM_E_LIMIT, and the hook neither consumed " +
                                   "nor closed: the session waits for its deadline");
    EndWith(RUM_CLOSE_MODULE);
    return true;
  }
  if (s.need && s.need <= size && !pause) {
    host_table::Violate(world, name + " asked by need() for " + std::to_string(s.need) +
                                   " bytes, had " + std::to_string(size) +
                                   " and consumed none: it would be called again without end");
    s.need = 0;
  }
  bool waits = lookup || finding || connect || pause || sides[RUM_UPSTREAM].there;
  if (size >= limit && size >= s.limit() && !waits) {
    EndWith(side == RUM_CLIENT ? RUM_CLOSE_CLIENT_PROTOCOL : RUM_CLOSE_UPSTREAM_PROTOCOL,
            "more bytes than the module's window");
  }
  return true;
}

bool ScriptedSession::CallEnd(uint32_t side) {
  Side& s = sides[side];
  bool hook = side == RUM_CLIENT ? module_.client_data : module_.upstream_data;
  if (!s.there || !s.ended || s.end_told || pause || Ending() || handed == side) return false;
  if (!s.wire.empty() || s.tls == Tls::kHandshake) return false;
  if (!hook && !s.forward) return false;  // not read, so not reported
  int32_t answer = ReportEnd(side);
  if (answer == RUM_END && handed) {
    Relay();
  } else if (answer == RUM_END) {
    EndWith(side == RUM_CLIENT ? RUM_CLOSE_CLIENT_GONE : RUM_CLOSE_UPSTREAM_GONE);
  }
  return true;
}

int32_t ScriptedSession::ReportEnd(uint32_t side) {
  sides[side].end_told = true;
  if (!module_.side_end) return RUM_END;
  int32_t answer = RUM_END;
  Run("side_end", [&] { answer = module_.side_end(data_, handle(), side); });
  if (answer == RUM_END || answer == RUM_KEEP) return answer;
  host_table::Violate(*host_.world_, "side_end returned " + std::to_string(answer) +
                                         ", which is neither RUM_END nor RUM_KEEP");
  return RUM_END;
}

// -- the relay ------------------------------------------------------------------------------------

// From here on, of all hooks only session_close is called: pending answers are dropped.
void ScriptedSession::BeginRelay() {
  if (relay_begun_) return;
  relay_begun_ = true;
  timers_.clear();
  lookup.reset();
  finding.reset();
  DropAnswers();
}

bool ScriptedSession::PumpRelay(uint32_t side) {
  if (!sides[RUM_UPSTREAM].there || Ending()) return false;
  Side& s = sides[side];
  Side& other = sides[Other(side)];
  if (s.tls == Tls::kHandshake) return Pump(side);
  if (!(s.window.empty() && s.wire.empty()) && other.waiting <= kHighWater) {
    s.read += s.wire.size();
    Out(Other(side), s.window);
    Out(Other(side), s.wire);
    s.window.clear();
    s.wire.clear();
    return true;
  }
  if (!s.ended || end_passed_[side] || !s.wire.empty() || !s.window.empty()) return false;
  end_passed_[side] = true;
  if (!ended_first_) ended_first_ = 1 + side;
  host_.deeds_.push_back({Kind::kEnd, Other(side), 0, {}, {}});
  if (end_passed_[Other(side)]) {
    EndWith(ended_first_ == 1 + RUM_CLIENT ? RUM_CLOSE_CLIENT : RUM_CLOSE_UPSTREAM);
  }
  return true;
}

// -- the end --------------------------------------------------------------------------------------

void ScriptedSession::EndWith(uint32_t why, std::string_view words) {
  if (reason) return;
  reason = why;
  text = words;
}

void ScriptedSession::Finish() {
  if (refusal) reason = refusal;
  DropAnswers();
  timers_.clear();
  lookup.reset();
  finding.reset();
  connect.reset();
  if ((probe || refusal || module_.session_open) && !refused && module_.session_close) {
    Run("session_close", [&] { module_.session_close(data_, handle(), reason); });
  }
  over = true;
  data_ = nullptr;
  host_.world_->shared.EndSession(number_ + 1);
  host_table::KillHandle(handle_);
  host_.deeds_.push_back({Kind::kClose, 0, reason, {}, text});
  config_.reset();
}

void ScriptedSession::Out(uint32_t side, std::string_view bytes) {
  if (bytes.empty()) return;
  Side& s = sides[side];
  s.sent += bytes;
  if (!s.reading) s.waiting += bytes.size();
  if (!host_.deeds_.empty()) {
    Deed& last = host_.deeds_.back();
    if (last.kind == Kind::kSend && last.side == side && last.session == number_) {
      last.bytes += bytes;
      return;
    }
  }
  host_.deeds_.push_back({Kind::kSend, side, 0, {}, std::string(bytes)});
}

}  // namespace rum
