#include "check/scripted_session.h"

#include <cstring>
#include <functional>
#include <utility>

#include "check/host_table.h"

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

bool ScriptedSession::RunHook(const char* name, const std::function<void()>& hook) {
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
  auto request = std::make_unique<rum_probe>();
  *request = {.struct_size = sizeof(rum_probe),
              .is_default = is_default,
              .destination = destination.empty() ? nullptr : address->c_str(),
              .user = who ? name->c_str() : nullptr,
              .user_size = name->size()};
  int32_t status = 0;
  Run("probe_open", [&] {
    status = module_.probe_open(handle(), config_ ? config_->pointer : nullptr,
                                host_.world_->worker_data, request.get(), &data_);
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
  bool may_go_on =
      (side == RUM_CLIENT || stale) && !relay && !handed && !s.end_reported && !Ending();
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

// From here on, of all hooks only session_close is called: pending answers are dropped.
void ScriptedSession::BeginRelay() {
  if (relay_begun_) return;
  relay_begun_ = true;
  timers_.clear();
  lookup.reset();
  finding.reset();
  DropAnswers();
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

}  // namespace rum
