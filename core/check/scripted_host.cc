#include "check/scripted_host.h"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <mutex>
#include <nlohmann/json.hpp>
#include <set>

#include "check/host_table.h"
#include "check/module_table.h"

namespace rum {
namespace {

constexpr size_t kErrorSize = 256;
constexpr size_t kRefusalSize = 4096;
constexpr size_t kStatsSize = 65536;

// A buffer with a mark behind it, to see whether a hook writes past the size.
class Paper {
 public:
  explicit Paper(size_t size) : size_(size), bytes_(size + kMark, '\x7f') {}
  char* data() { return bytes_.data(); }
  size_t size() const { return size_; }
  bool overrun() const { return bytes_.substr(size_) != std::string(kMark, '\x7f'); }
  // The text before the NUL; empty if there is none within the size.
  std::optional<std::string> sentence() const {
    size_t nul = bytes_.find('\0');
    if (nul >= size_) return {};
    return bytes_.substr(0, nul);
  }

 private:
  static constexpr size_t kMark = 64;
  size_t size_;
  std::string bytes_;
};

// The error of init and config_new.
Error Judge(ScriptedHost::World& world, const char* hook, const Paper& paper) {
  if (paper.overrun()) host_table::Violate(world, std::string(hook) + " wrote past error_size");
  auto sentence = paper.sentence();
  if (!sentence || sentence->empty()) {
    host_table::Violate(world, std::string(hook) + " failed and wrote no sentence into `error`");
    return Error{Fault::kModule, std::string(hook) + " failed without a sentence"};
  }
  return Error{Fault::kModule, *sentence};
}

// Modules are identified by their init: a copy of a table is still the same module.
std::set<decltype(rum_module::init)>& Initialised() {
  static std::set<decltype(rum_module::init)> all;
  return all;
}

}  // namespace

void ScriptedHost::Config::Free() {
  host_table::HookScope scope("config_free");
  module->config_free(pointer);
}

ScriptedHost::ScriptedHost(const rum_module& module)
    : module_(CopyModuleTable(module)), world_(std::make_unique<World>()) {
  host_table::SetCurrent(this, world_.get());
}

ScriptedHost::~ScriptedHost() {
  session_ = nullptr;
  sessions_.clear();
  world_->work.End();
  if (world_->worker_started && module_.worker_stop) {
    host_table::HookScope scope("worker_stop");
    module_.worker_stop(world_->worker_data);
  }
  world_->config.reset();
  host_table::ForgetHost(this);
}

const rum_host& ScriptedHost::Table() { return host_table::kTable; }

const char* ScriptedHost::running_hook() { return host_table::running_hook; }

void ScriptedHost::NameHook(const char* name) { host_table::running_hook = name; }

void ScriptedHost::ForgetDeeds() {
  deeds_.all = {};
  sessions_.clear();
  session_ = nullptr;
  selected_ = 0;
  host_table::ForgetGone();
}

void ScriptedHost::InitWasCalled(const rum_module& module) { Initialised().insert(module.init); }

void ScriptedHost::AddToMap(std::string key, std::string value) {
  world_->map_there = true;
  world_->map[std::move(key)] = std::move(value);
}

void ScriptedHost::BreakMap() { world_->map_broken = true; }

void ScriptedHost::AddElsewhere(std::string key, std::string value) {
  world_->elsewhere[std::move(key)] = std::move(value);
}

void ScriptedHost::BreakElsewhere() { world_->elsewhere_broken = true; }

void ScriptedHost::HoldAnswers(bool hold) {
  world_->hold_answers = hold;
  if (hold) return;
  if (session_) session_->Settle();
  SettleOthers(true);
}

Result<std::shared_ptr<ScriptedHost::Config>> ScriptedHost::MakeConfig(const Options& options) {
  auto values = OptionValues(module_, options);
  if (!values) return values.error();
  auto config = std::make_shared<Config>();
  if (!module_.config_new) return config;
  std::vector<const char*> pointers;
  for (const auto& value : *values) pointers.push_back(value ? value->c_str() : nullptr);
  Paper error(kErrorSize);
  error.data()[0] = 0;
  host_table::SetCurrent(this, world_.get());
  host_table::HookScope scope("config_new");
  int32_t status = module_.config_new(pointers.data(), pointers.size(), &config->pointer,
                                      error.data(), error.size());
  for (auto& value : *values) {  // exposes a module that keeps a pointer into them
    if (value) std::fill(value->begin(), value->end(), '\xdd');
  }
  if (status < 0) return Judge(*world_, "config_new", error);
  config->module = &module_;
  return config;
}

Status ScriptedHost::Start(const Options& options) {
  if (world_->started) return Error{Fault::kUsage, "started already"};
  host_table::SetCurrent(this, world_.get());
  if (Status rows = CheckModuleRows(module_); !rows) return rows.error();
  world_->metrics = ModuleMetrics(module_);
  if (module_.init && !Initialised().contains(module_.init)) {
    Paper error(kErrorSize);
    error.data()[0] = 0;
    if (module_.init(&Table(), error.data(), error.size()) < 0) {
      return Judge(*world_, "init", error);
    }
    Initialised().insert(module_.init);
  }
  auto config = MakeConfig(options);
  if (!config) return config.error();
  if (module_.worker_start) {
    host_table::HookScope scope("worker_start");
    int32_t status = module_.worker_start(reinterpret_cast<rum_worker*>(&world_->worker_handle),
                                          (*config)->pointer, &world_->worker_data);
    if (status < 0) return Error{Fault::kModule, "worker_start failed"};
  }
  world_->worker_started = true;
  world_->config = std::move(*config);
  world_->started = true;
  return Ok();
}

Status ScriptedHost::Reload(const Options& options) {
  if (!world_->started) return Error{Fault::kUsage, "not started"};
  auto config = MakeConfig(options);
  if (!config) return config.error();
  if (module_.worker_reload) {
    host_table::HookScope scope("worker_reload");
    module_.worker_reload(world_->worker_data, (*config)->pointer);
  }
  world_->config = std::move(*config);
  return Ok();
}

std::string ScriptedHost::Refusal(uint32_t reason) {
  if (!module_.refusal || (!world_->started && !Start())) return {};
  host_table::SetCurrent(this, world_.get());
  Paper paper(kRefusalSize);
  host_table::HookScope scope("refusal");
  size_t size = module_.refusal(world_->config->pointer, reason,
                                reinterpret_cast<uint8_t*>(paper.data()), paper.size());
  if (size > paper.size() || paper.overrun()) {
    host_table::Violate(*world_, "refusal wrote more than `size` bytes");
    return {};
  }
  std::string bytes(paper.data(), size);
  if (size > 0) deeds_.push_back({Deed::Kind::kSend, RUM_CLIENT, 0, {}, bytes});
  return bytes;
}

std::string ScriptedHost::Stats() {
  if (!module_.stats || (!world_->started && !Start())) return {};
  host_table::SetCurrent(this, world_.get());
  Paper paper(kStatsSize);
  host_table::HookScope scope("stats");
  size_t size = module_.stats(world_->config->pointer, paper.data(), paper.size());
  if (size > paper.size() || paper.overrun()) {
    host_table::Violate(*world_, "stats wrote more than `size` bytes");
    return {};
  }
  std::string text(paper.data(), size);
  if (!nlohmann::json::parse(text, nullptr, false).is_object()) {
    host_table::Violate(*world_, "stats wrote what is not a JSON object");
  }
  return text;
}

// -- the session ----------------------------------------------------------------------------------

void ScriptedHost::Select(size_t n) {
  if (n >= sessions_.size()) sessions_.resize(n + 1);
  selected_ = n;
  session_ = sessions_[n].get();
}

ScriptedSession& ScriptedHost::NewSession() {
  Select(selected_);
  sessions_[selected_] = std::make_unique<ScriptedSession>(*this, world_->config, selected_);
  session_ = sessions_[selected_].get();
  return *session_;
}

// A module may have made calls for any session of its worker.
bool ScriptedHost::SettleOthers(bool answer) {
  for (auto& session : sessions_) {
    if (session && session.get() != session_ && !session->over) session->Settle();
  }
  if (sessions_.size() > 1 && session_ && !session_->over) session_->Settle();
  return answer;
}

bool ScriptedHost::Open() {
  if (open() || (!world_->started && !Start())) return false;
  NewSession().Open();
  return SettleOthers(true);
}

bool ScriptedHost::OpenProbe(const std::string& destination, std::optional<std::string> user,
                             bool is_default) {
  if (open() || !module_.probe_open || (!world_->started && !Start())) return false;
  NewSession().OpenProbe(destination, user, is_default);
  return SettleOthers(true);
}

bool ScriptedHost::OpenRefused(uint32_t reason) {
  if (open() || !module_.refused_open || (!world_->started && !Start())) return false;
  NewSession().OpenRefused(reason);
  return SettleOthers(true);
}

bool ScriptedHost::Feed(uint32_t side, std::string_view bytes) {
  return SettleOthers(session_ && side <= RUM_UPSTREAM && session_->Feed(side, bytes));
}

bool ScriptedHost::End(uint32_t side) {
  return SettleOthers(session_ && side <= RUM_UPSTREAM && session_->End(side));
}

bool ScriptedHost::Reset(uint32_t side) {
  return SettleOthers(session_ && side <= RUM_UPSTREAM && session_->Reset(side));
}

bool ScriptedHost::ConnectOutcome(uint32_t reason) {
  return SettleOthers(session_ && session_->ConnectOutcome(reason));
}

bool ScriptedHost::TakeKept() { return SettleOthers(session_ && session_->TakeKept()); }

bool ScriptedHost::can_take_kept() const { return session_ && session_->CanTakeKept(); }

bool ScriptedHost::MapAnswer(int32_t status, std::string_view value) {
  return SettleOthers(session_ && session_->MapAnswer(status, value));
}

bool ScriptedHost::TlsOutcome(uint32_t side, int32_t status) {
  return SettleOthers(session_ && side <= RUM_UPSTREAM && session_->TlsOutcome(side, status));
}

bool ScriptedHost::StopReading(uint32_t side) {
  return SettleOthers(session_ && side <= RUM_UPSTREAM && session_->SetReading(side, false));
}

bool ScriptedHost::StartReading(uint32_t side) {
  return SettleOthers(session_ && side <= RUM_UPSTREAM && session_->SetReading(side, true));
}

bool ScriptedHost::CloseByRum(uint32_t reason) {
  return SettleOthers(session_ && session_->CloseByRum(reason));
}

// Each timer sees its own expiry time: the clock advances from one to the next.
void ScriptedHost::Advance(uint64_t milliseconds) {
  uint64_t end = host_table::clock + milliseconds;
  RunWorker();
  AdvanceWorker(end);
  for (;;) {
    ScriptedSession* first = nullptr;
    std::optional<uint64_t> due;
    for (auto& session : sessions_) {
      auto next = session && !session->over ? session->NextTimer() : std::nullopt;
      if (!next || (due && *next >= *due)) continue;
      first = session.get();
      due = next;
    }
    if (!due || *due > end) break;
    if (*due > host_table::clock) host_table::clock = *due;
    first->Settle();
    if (!first->over && first->NextTimer() == due) break;  // it cannot run now
  }
  host_table::clock = end;
  if (session_) session_->Settle();
  SettleOthers(true);
}

// Runs the worker's timers, each after the timers of the session that expire before it.
void ScriptedHost::AdvanceWorker(uint64_t end) {
  for (int turns = 0; turns < scripted::kIdleHooksMost; ++turns) {
    const std::optional<uint64_t> due = world_->work.NextTimer();
    if (!due || *due > end) return;
    for (int steps = 0; session_ && !session_->over && steps < scripted::kIdleHooksMost; ++steps) {
      const std::optional<uint64_t> sooner = session_->NextTimer();
      if (!sooner || *sooner > *due) break;
      if (*sooner > host_table::clock) host_table::clock = *sooner;
      session_->Settle();
      if (session_->NextTimer() == sooner) break;  // it cannot run now
    }
    if (*due > host_table::clock) host_table::clock = *due;
    RunWorker();
  }
  host_table::Violate(*world_, "timers of the worker set each other without end");
}

bool ScriptedHost::RunWorker() {
  if (!world_->started) return false;
  const bool ran = world_->work.RunDue(host_table::clock, world_->worker_data);
  if (ran && session_) session_->Settle();  // one of them may have ended a pause
  return ran;
}

bool ScriptedHost::EndLoginWait() {
  if (!waits_for_login()) return false;
  login_waits = false;
  Table().resume(session_->pause, RUM_OK, nullptr, nullptr);
  return WaitResumed(0);
}

bool ScriptedHost::WaitResumed(uint64_t milliseconds) {
  if (!session_ || !session_->pause || !session_->WaitAnswer(milliseconds)) return false;
  session_->Settle();
  return SettleOthers(true);
}

bool ScriptedHost::open() const { return session_ && !session_->over; }

std::optional<std::string> ScriptedHost::looking_up() const {
  return session_ ? session_->lookup : std::nullopt;
}

std::optional<std::string> ScriptedHost::connecting() const {
  return session_ ? session_->connect : std::nullopt;
}

bool ScriptedHost::connected() const { return open() && session_->sides[RUM_UPSTREAM].there; }

bool ScriptedHost::probing() const { return open() && session_->probe; }

bool ScriptedHost::relaying() const { return open() && session_->relay; }

std::optional<uint32_t> ScriptedHost::handed_over() const {
  return open() && !session_->relay ? session_->handed : std::nullopt;
}

bool ScriptedHost::tls_wanted(uint32_t side) const {
  return open() && session_->sides[side].tls == ScriptedSession::Tls::kHandshake;
}

bool ScriptedHost::paused() const { return open() && session_->pause != 0; }

bool ScriptedHost::waits_for_login() const {
  return paused() && session_->pause == session_->login_pause;
}

std::optional<uint32_t> ScriptedHost::closed() const {
  if (!session_ || !session_->over) return {};
  return session_->reason;
}

std::string ScriptedHost::close_text() const { return session_ ? session_->text : ""; }

std::string ScriptedHost::unconsumed(uint32_t side) const {
  return session_ ? session_->sides[side].window + session_->sides[side].wire : "";
}

size_t ScriptedHost::needed(uint32_t side) const { return open() ? session_->sides[side].need : 0; }

bool ScriptedHost::ended(uint32_t side) const {
  return session_ && (session_->sides[side].ended || session_->sides[side].broken);
}

std::optional<uint64_t> ScriptedHost::next_timer() const {
  auto due = open() ? session_->NextTimer() : std::nullopt;
  if (!due) return {};
  return *due > host_table::clock ? *due - host_table::clock : 0;
}

bool ScriptedHost::forgotten() const {
  if (!open() || probing() || relaying() || handed_over() || paused()) return false;
  if (looking_up() || connecting() || next_timer()) return false;
  if (tls_wanted(RUM_CLIENT) || tls_wanted(RUM_UPSTREAM)) return false;
  if (session_->sides[RUM_CLIENT].below || session_->sides[RUM_UPSTREAM].below) return false;
  return std::all_of(std::begin(session_->sides), std::end(session_->sides), [](const auto& side) {
    return !side.there || side.broken || side.end_reported;
  });
}

std::map<std::string, std::string> ScriptedHost::notes() const {
  return session_ ? session_->notes : std::map<std::string, std::string>();
}

std::string ScriptedHost::user() const { return session_ ? session_->user : ""; }

uint64_t ScriptedHost::metric(std::string_view name) const {
  auto found = world_->sums.find(name);
  return found == world_->sums.end() ? 0 : found->second;
}

uint64_t ScriptedHost::hook_calls() const { return session_ ? session_->hook_calls : 0; }

std::string ScriptedHost::TakeSent(uint32_t side) {
  return session_ ? std::exchange(session_->sides[side].sent, {}) : "";
}

std::vector<std::string> ScriptedHost::violations() const {
  std::lock_guard lock(world_->mutex);
  return world_->violations;
}

void ScriptedHost::ForgetViolations() {
  std::lock_guard lock(world_->mutex);
  world_->violations.clear();
}

}  // namespace rum
