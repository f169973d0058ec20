// Glue between rum and the login: the table of hooks, options and counters; nothing thrown gets
// past this file.
#include <rum/module.h>
#include <time.h>

#include <atomic>
#include <cstdio>
#include <cstring>
#include <memory>
#include <mutex>
#include <new>

#include "mysql/auth.h"
#include "mysql/config.h"
#include "mysql/fleet.h"
#include "mysql/kill_table.h"
#include "mysql/metrics.h"
#include "mysql/own_errors.h"
#include "mysql/own_key.h"
#include "mysql/pace.h"
#include "mysql/probe.h"
#include "mysql/session.h"

namespace {

using rum::mysql::Bytes;
using rum::mysql::Config;
using rum::mysql::Conversation;
using rum::mysql::Fleet;
using rum::mysql::KillTable;
using rum::mysql::Pace;
using rum::mysql::Probe;
using rum::mysql::Session;

const rum_host* host;

// What is known of the servers, and where it is kept between two processes.
// It goes with the last configuration.
std::weak_ptr<Fleet> the_fleet;  // [main]
constexpr char kKeptAs[] = "mysql-fleet";

// It goes with the last worker.
std::mutex pace_mutex;
std::weak_ptr<Pace> the_pace;

std::shared_ptr<Pace> SharePace() {
  std::lock_guard lock(pace_mutex);
  if (auto pace = the_pace.lock()) return pace;
  // Without random bytes nobody is greeted either.
  auto pace = std::make_shared<Pace>(rum::mysql::MakeNonce().value_or(rum::mysql::Nonce{}));
  the_pace = pace;
  return pace;
}

// What the sessions of one worker share.
struct WorkerState {
  rum_worker* worker;
  std::shared_ptr<Pace> pace;
  Fleet::View view;
};

// All that a session keeps: its id (0: a probe), and a pointer, which is null from the relay on.
struct SessionState {
  uint32_t connection_id = 0;
  std::unique_ptr<Conversation> talk;
};

void Write(const char* text, char* error, size_t error_size) {
  std::snprintf(error, error_size, "%s", text);
}

// Runs a hook of a login, and lets go of the login once it is over.
template <class Hook>
auto Run(void* data, rum_session* session, Hook hook) noexcept
    -> decltype(hook(*(Conversation*)nullptr)) {
  using Answer = decltype(hook(*(Conversation*)nullptr));
  auto* state = static_cast<SessionState*>(data);
  if (!state->talk) return Answer();
  try {
    if constexpr (std::is_void_v<Answer>) {
      hook(*state->talk);
      if (state->talk->relaying()) state->talk.reset();
    } else {
      Answer answer = hook(*state->talk);
      if (state->talk->relaying()) state->talk.reset();
      return answer;
    }
  } catch (...) {
    constexpr char kText[] = "the mysql module is out of memory";
    host->close(session, RUM_CLOSE_MODULE, kText, sizeof kText - 1);
    if constexpr (!std::is_void_v<Answer>) return Answer();
  }
}

const rum_state* StateCalls() {
  return static_cast<const rum_state*>(host->extension(RUM_STATE_1));
}

int32_t Init(const rum_host* table, char*, size_t) {
  host = table;
  return RUM_OK;
}

std::shared_ptr<Fleet> ShareFleet() {
  if (auto fleet = the_fleet.lock()) return fleet;
  auto fleet = std::make_shared<Fleet>(
      [](uint32_t level, const std::string& text) {
        std::string line = "mysql: " + text;
        host->log(nullptr, level, line.data(), line.size());
      },
      [](const std::string& text) {
        const rum_state* state = StateCalls();
        if (state != nullptr) state->save(kKeptAs, text.data(), text.size());
      });
  const rum_state* state = StateCalls();
  std::string text(state != nullptr ? state->load(kKeptAs, nullptr, 0) : 0, '\0');
  if (!text.empty() && state->load(kKeptAs, text.data(), text.size()) == text.size()) {
    fleet->Remember(text, ::time(nullptr));
  }
  the_fleet = fleet;
  return fleet;
}

// Nothing: the system has no name for the user that rum runs as.
std::optional<std::vector<std::string>> OwnNames() {
  auto* calls = static_cast<const rum_process*>(host->extension(RUM_PROCESS_1));
  std::string text(calls != nullptr ? calls->user_names(nullptr, 0) : 0, '\0');
  if (text.empty() || calls->user_names(text.data(), text.size()) != text.size()) return {};
  std::vector<std::string> names;
  for (size_t at = 0; at < text.size(); at += names.back().size() + 1) {
    names.emplace_back(text.c_str() + at);
  }
  return names;
}

int32_t NewConfig(const char* const* values, size_t count, void** config, char* error,
                  size_t error_size) {
  try {
    auto read = rum::mysql::ReadConfig(values, count);
    if (!read.ok()) {
      Write(read.why, error, error_size);
      return RUM_E_ARGUMENT;
    }
    read.value.fleet = ShareFleet();
    if (!read.value.socket_users) read.value.socket_users = OwnNames();
    *config = new Config(std::move(read.value));
    return RUM_OK;
  } catch (...) {
    Write("the mysql module is out of memory", error, error_size);
    return RUM_E_MEMORY;
  }
}

void FreeConfig(void* config) { delete static_cast<Config*>(config); }

// Once for each configuration.
void WarnOfUncountedFailures(rum_worker* worker, const Config& config) {
  static std::atomic<const Config*> told = nullptr;
  const auto* limits = static_cast<const rum_limits*>(host->extension(RUM_LIMITS_1));
  if (!limits || config.change_user != rum::mysql::ChangeUserMode::kAllow) return;
  if (limits->counts_failures(worker) != 1 || told.exchange(&config) == &config) return;
  constexpr char kText[] =
      "mysql: --login-failures does not see guesses by COM_CHANGE_USER, which "
      "--mysql-change-user allow passes on; same and deny count them";
  host->log(nullptr, RUM_LOG_WARNING, kText, sizeof kText - 1);
}

int32_t StartWorker(rum_worker* worker, const void* config, void** worker_data) {
  try {
    *worker_data = new WorkerState{.worker = worker, .pace = SharePace(), .view = {}};
    WarnOfUncountedFailures(worker, *static_cast<const Config*>(config));
    return RUM_OK;
  } catch (...) {
    return RUM_E_MEMORY;
  }
}

void ReloadWorker(void* worker_data, const void* config) {
  WarnOfUncountedFailures(static_cast<WorkerState*>(worker_data)->worker,
                          *static_cast<const Config*>(config));
}

void StopWorker(void* worker_data) {
  rum::mysql::OwnKeys::OfProcess().Finish();
  delete static_cast<WorkerState*>(worker_data);
}

int32_t OpenSession(rum_session* session, const void* config, void* worker_data, void** data) {
  try {
    auto* state = static_cast<WorkerState*>(worker_data);
    auto login = std::make_unique<Session>(*host, session, *static_cast<const Config*>(config),
                                           state->pace.get(), state->view);
    uint32_t id = KillTable::OfProcess().NextId();
    if (!login->Open(id)) return RUM_E_FAILED;
    *data = new SessionState{id, std::move(login)};
    return RUM_OK;
  } catch (...) {
    return RUM_E_MEMORY;
  }
}

int32_t OpenProbe(rum_session* session, const void* config, void* worker_data,
                  const rum_probe* asked, void** data) {
  try {
    auto* state = static_cast<WorkerState*>(worker_data);
    auto probe = std::make_unique<Probe>(*host, session, *static_cast<const Config*>(config),
                                         state->view, *asked);
    if (!probe->Open()) return RUM_E_FAILED;
    *data = new SessionState{0, std::move(probe)};
    return RUM_OK;
  } catch (...) {
    return RUM_E_MEMORY;
  }
}

int64_t ClientData(void* data, rum_session* session, const uint8_t* bytes, size_t size) {
  return Run(data, session, [&](Conversation& s) { return s.OnClientData({bytes, size}); });
}

int64_t UpstreamData(void* data, rum_session* session, const uint8_t* bytes, size_t size) {
  return Run(data, session, [&](Conversation& s) { return s.OnUpstreamData({bytes, size}); });
}

void UpstreamOpen(void* data, rum_session* session, uint32_t reason) {
  Run(data, session, [&](Conversation& s) { s.OnUpstreamOpen(reason); });
}

void LookedUp(void* data, rum_session* session, int32_t status, const uint8_t* value, size_t size) {
  Run(data, session, [&](Conversation& s) { s.OnLookedUp(status, {value, size}); });
}

void TlsOpen(void* data, rum_session* session, uint32_t side, int32_t status) {
  Run(data, session, [&](Conversation& s) { s.OnTlsOpen(side, status); });
}

int32_t SideEnd(void* data, rum_session* session, uint32_t side) {
  return Run(data, session, [&](Conversation& s) { return s.OnSideEnd(side); });
}

void Timeout(void* data, rum_session* session, uint64_t ticket) {
  Run(data, session, [&](Conversation& s) { s.OnTimeout(ticket); });
}

void Resumed(void* data, rum_session* session, uint64_t, int32_t status, void*) {
  Run(data, session, [&](Conversation& s) { s.OnResumed(status); });
}

void CloseSession(void* data, rum_session* session, uint32_t reason) {
  Run(data, session, [&](Conversation& s) { s.OnClose(reason); });
  auto* state = static_cast<SessionState*>(data);
  KillTable::OfProcess().Remove(state->connection_id);
  delete state;
}

// In place of a greeting: no SQL state, which clients would show as text.
size_t Refusal(const void*, uint32_t reason, uint8_t* bytes, size_t size) {
  try {
    rum::mysql::ServerError error = rum::mysql::ErrorForReason(reason);
    error.state.clear();
    std::string packet = rum::mysql::BuildError(error, 0);
    if (packet.size() > size) return 0;
    std::memcpy(bytes, packet.data(), packet.size());
    return packet.size();
  } catch (...) {
    return 0;
  }
}

size_t Stats(const void* config, char* json, size_t size) {
  try {
    Fleet::View view;
    const auto& now = *static_cast<const Config*>(config);
    std::string text = rum::mysql::Describe(now, view.Look(*now.fleet), now.fleet->Summarize());
    if (text.size() > size) return 0;
    std::memcpy(json, text.data(), text.size());
    return text.size();
  } catch (...) {
    return 0;
  }
}

}  // namespace

constinit const rum_module RUM_MODULE_SYMBOL = {
    .struct_size = sizeof(rum_module),
    .abi = RUM_MODULE_ABI,
    .host_size_min = sizeof(rum_host),
    .reserved = 0,
    .name = "mysql",
    .version = "1.0.0",
    .summary = "routes MySQL and MariaDB logins by user name",
    .options = rum::mysql::kOptions,
    .option_count = rum::mysql::kOptionCount,
    .option_size = sizeof(rum_option),
    .metrics = rum::mysql::kMetrics,
    .metric_count = rum::mysql::kMetricTotal,
    .metric_size = sizeof(rum_metric),
    .init = Init,
    .config_new = NewConfig,
    .config_free = FreeConfig,
    .worker_start = StartWorker,
    .worker_reload = ReloadWorker,
    .worker_stop = StopWorker,
    .session_open = OpenSession,
    .client_data = ClientData,
    .upstream_open = UpstreamOpen,
    .upstream_data = UpstreamData,
    .looked_up = LookedUp,
    .tls_open = TlsOpen,
    .side_end = SideEnd,
    .timeout = Timeout,
    .resumed = Resumed,
    .session_close = CloseSession,
    .refusal = Refusal,
    .stats = Stats,
    .probe_open = OpenProbe,
};
