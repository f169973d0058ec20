#include "support/hooks.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <thread>

#include "module/module_config.h"
#include "proxy/host_calls.h"
#include "support/timeout.h"

namespace rum::test {

const rum_host* host = nullptr;

namespace {

// The target of a session's `data`. Heap memory, so that a sanitizer sees a use after the end.
struct State {
  rum_session* session;
  std::thread::id thread = std::this_thread::get_id();
};

Hooks hooks;
std::mutex mutex;
std::map<rum_session*, State*> open_sessions;
std::vector<std::string> violations;
thread_local const char* running_hook = nullptr;

void Violation(const std::string& text) {
  std::lock_guard lock(mutex);
  violations.push_back(text);
}

// Called first in every hook of a session.
class Watch {
 public:
  Watch(const char* name, void* data, rum_session* session) {
    if (running_hook) Violation(std::string(name) + " was called within " + running_hook);
    outer_ = std::exchange(running_hook, name);
    std::lock_guard lock(mutex);
    auto found = open_sessions.find(session);
    if (found == open_sessions.end()) {
      violations.push_back(std::string(name) + " was called for a session that is not open");
    } else if (found->second != data) {
      violations.push_back(std::string(name) + " got another data pointer");
    } else if (found->second->thread != std::this_thread::get_id()) {
      violations.push_back(std::string(name) + " was called on another thread");
    }
  }
  ~Watch() { running_hook = outer_; }
  Watch(const Watch&) = delete;

 private:
  const char* outer_;
};

int32_t ConfigNew(const char* const* values, size_t count, void** config, char*, size_t) {
  return hooks.config_new(values, count, config);
}
void ConfigFree(void* config) { hooks.config_free(config); }
int32_t WorkerStart(rum_worker* worker, const void*, void** data) {
  return hooks.worker_start(worker, data);
}
void WorkerStop(void* data) { hooks.worker_stop(data); }

// Begins a session, in the hook of that name.
int32_t Open(const char* name, rum_session* session, void** data,
             const std::function<int32_t()>& hook) {
  auto* state = new State{session};
  {
    std::lock_guard lock(mutex);
    if (running_hook) violations.push_back(std::string(name) + " was called within another hook");
    if (!open_sessions.emplace(session, state).second) {
      violations.push_back(std::string(name) + " was called twice for one session");
    }
  }
  *data = state;
  running_hook = name;
  int32_t status = hook();
  running_hook = nullptr;
  if (status < 0) {
    std::lock_guard lock(mutex);
    open_sessions.erase(session);
    delete state;
  }
  return status;
}

int32_t SessionOpen(rum_session* session, const void*, void*, void** data) {
  return Open("session_open", session, data,
              [&] { return hooks.session_open ? hooks.session_open(session) : RUM_OK; });
}

int32_t ProbeOpen(rum_session* session, const void*, void*, const rum_probe* probe, void** data) {
  return Open("probe_open", session, data, [&] { return hooks.probe_open(session, *probe); });
}

int32_t RefusedOpen(rum_session* session, const void*, void*, uint32_t reason, void** data) {
  return Open("refused_open", session, data, [&] { return hooks.refused_open(session, reason); });
}

void SessionClose(void* data, rum_session* session, uint32_t reason) {
  {
    Watch watch("session_close", data, session);
    if (hooks.session_close) hooks.session_close(session, reason);
  }
  std::lock_guard lock(mutex);
  if (open_sessions.erase(session)) delete static_cast<State*>(data);
}

int64_t ClientData(void* data, rum_session* s, const uint8_t* bytes, size_t size) {
  Watch watch("client_data", data, s);
  if (size == 0) Violation("client_data was called without bytes");
  return hooks.client_data(s, {reinterpret_cast<const char*>(bytes), size});
}
int64_t UpstreamData(void* data, rum_session* s, const uint8_t* bytes, size_t size) {
  Watch watch("upstream_data", data, s);
  if (size == 0) Violation("upstream_data was called without bytes");
  return hooks.upstream_data(s, {reinterpret_cast<const char*>(bytes), size});
}
void UpstreamOpen(void* data, rum_session* s, uint32_t reason) {
  Watch watch("upstream_open", data, s);
  hooks.upstream_open(s, reason);
}
void LookedUp(void* data, rum_session* s, int32_t status, const uint8_t* value, size_t size) {
  Watch watch("looked_up", data, s);
  hooks.looked_up(s, status, {reinterpret_cast<const char*>(value), size});
}
int32_t SideEnd(void* data, rum_session* s, uint32_t side) {
  Watch watch("side_end", data, s);
  return hooks.side_end(s, side);
}
void Timeout(void* data, rum_session* s, uint64_t ticket) {
  Watch watch("timeout", data, s);
  hooks.timeout(s, ticket);
}
void Drained(void* data, rum_session* s, uint32_t side) {
  Watch watch("drained", data, s);
  hooks.drained(s, side);
}
void Resumed(void* data, rum_session* s, uint64_t ticket, int32_t status, void* payload) {
  Watch watch("resumed", data, s);
  hooks.resumed(s, ticket, status, payload);
}
size_t Refusal(const void*, uint32_t reason, uint8_t* bytes, size_t size) {
  return hooks.refusal(reason, bytes, size);
}
size_t Stats(const void*, char* json, size_t size) { return hooks.stats(json, size); }

rum_module TableOf(const Hooks& h) {
  rum_module table = {};
  table.struct_size = sizeof table;
  table.abi = RUM_MODULE_ABI;
  table.host_size_min = sizeof(rum_host);
  table.name = "test";
  table.version = "1.0";
  table.summary = "what a test wants";
  table.options = h.options.data();
  table.option_count = h.options.size();
  table.option_size = sizeof(rum_option);
  table.metrics = h.metrics.data();
  table.metric_count = h.metrics.size();
  table.metric_size = sizeof(rum_metric);
  table.farewell = h.farewell.data();
  table.farewell_size = h.farewell.size();
  if (h.config_new) table.config_new = ConfigNew;
  if (h.config_free) table.config_free = ConfigFree;
  if (h.worker_start) table.worker_start = WorkerStart;
  if (h.worker_stop) table.worker_stop = WorkerStop;
  if (!h.without_session_open) table.session_open = SessionOpen;
  if (h.probe_open) table.probe_open = ProbeOpen;
  if (h.client_data) table.client_data = ClientData;
  if (h.upstream_open) table.upstream_open = UpstreamOpen;
  if (h.upstream_data) table.upstream_data = UpstreamData;
  if (h.looked_up) table.looked_up = LookedUp;
  if (h.side_end) table.side_end = SideEnd;
  if (h.timeout) table.timeout = Timeout;
  if (h.resumed) table.resumed = Resumed;
  if (h.drained) table.drained = Drained;
  if (h.refused_open) table.refused_open = RefusedOpen;
  if (!h.without_session_open) table.session_close = SessionClose;
  if (h.refusal) table.refusal = Refusal;
  if (h.stats) table.stats = Stats;
  return table;
}

}  // namespace

std::shared_ptr<const ModuleConfig> MakeTestModule(Hooks wanted) {
  host = &kHost;
  hooks = std::move(wanted);
  auto module = Module::Of(TableOf(hooks));
  if (!module) {
    ADD_FAILURE() << module.error().text;
    return nullptr;
  }
  auto config = ModuleConfig::Make(*module, {});
  if (!config) {
    ADD_FAILURE() << config.error().text;
    return nullptr;
  }
  return *config;
}

std::vector<std::string> TakeViolations() {
  std::lock_guard lock(mutex);
  return std::exchange(violations, {});
}

size_t OpenSessions() {
  std::lock_guard lock(mutex);
  return open_sessions.size();
}

bool Journal::WaitFor(std::string_view entry) const {
  return Eventually([&] { return Count(entry) > 0; });
}

size_t Journal::Count(std::string_view entry) const {
  std::lock_guard lock(mutex_);
  return static_cast<size_t>(std::count(entries_.begin(), entries_.end(), entry));
}

std::string PeerOf(rum_session* s, uint32_t side) {
  char text[256];
  size_t size = host->peer(s, side, text, sizeof text);
  return {text, std::min(size, sizeof text - 1)};
}

}  // namespace rum::test
