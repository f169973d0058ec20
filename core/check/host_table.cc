#include "check/host_table.h"

#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdio>
#include <mutex>
#include <new>
#include <unordered_map>

#ifdef HAVE_CONFIG_H
#include "config.h"
#else
#define PACKAGE_VERSION "1.0.0"
#endif

namespace rum {
namespace host_table {
namespace {

constexpr size_t kViolationsMost = 1000;

struct Handle {
  ScriptedSession* session = nullptr;  // null: the session and its host are freed
  bool dead = false;                   // session_close has returned
};

struct Ticket {
  enum class State : uint8_t { kOut, kUsed, kGone } state;
  ScriptedSession* session;
};

// Handles stay allocated for a while: their addresses are not reused, so a late call is recognised.
struct Registry {
  std::mutex mutex;
  std::condition_variable answered;
  std::unordered_map<const void*, Handle> handles;
  std::deque<std::unique_ptr<char>> addresses;
  std::map<uint64_t, Ticket> tickets;  // oldest first
  uint64_t next_ticket = 1;
  uint64_t forgotten = 0;  // tickets below it are forgotten and no longer recognised
  ScriptedHost* current = nullptr;
  ScriptedHost::World* world = nullptr;  // that of `current`
};

Registry& registry() {
  static Registry* one = new Registry;  // outlives every static object of a module
  return *one;
}

}  // namespace

void ViolateCurrent(std::string text) {
  std::lock_guard lock(registry().mutex);
  if (registry().world) {
    Violate(*registry().world, std::move(text));
  } else {
    std::fprintf(stderr, "rum-check: %s\n", text.c_str());
  }
}

Current LockCurrent() {
  std::unique_lock lock(registry().mutex);
  return {std::move(lock), registry().current, registry().world};
}

ScriptedSession* Find(const rum_session* handle, const char* call) {
  ScriptedSession* session = nullptr;
  std::string why;
  {
    std::lock_guard lock(registry().mutex);
    auto found = registry().handles.find(handle);
    if (!handle) {
      why = "with session NULL";
    } else if (found == registry().handles.end()) {
      why = "with a pointer that is not a session";
    } else if (found->second.dead || !found->second.session) {
      why = "with a session that has ended";
    } else if (registry().world && registry().world->worker != std::this_thread::get_id()) {
      why = "on a thread that does not own the session";
    } else {
      session = found->second.session;
    }
  }
  if (session) {
    session->Act();
  } else {
    ViolateCurrent(std::string(call) + "() " + why);
  }
  return session;
}

bool Sensible(const char* call, const void* data, size_t size) {
  if (data || size == 0) return true;
  ViolateCurrent(std::string(call) + "() with a null pointer and size " + std::to_string(size));
  return false;
}

bool Sensible(const char* call, uint32_t side) {
  if (side <= RUM_UPSTREAM) return true;
  ViolateCurrent(std::string(call) + "() with side " + std::to_string(side));
  return false;
}

namespace {

int32_t Send(rum_session* handle, uint32_t side, const void* data, size_t size) {
  ScriptedSession* session = Find(handle, "send");
  if (!session) return RUM_E_STATE;
  if (!Sensible("send", side) || !Sensible("send", data, size)) return RUM_E_ARGUMENT;
  return session->Send(side, data, size);
}

int32_t Need(rum_session* handle, uint32_t side, size_t size) {
  ScriptedSession* session = Find(handle, "need");
  if (!session) return RUM_E_STATE;
  if (!Sensible("need", side)) return RUM_E_ARGUMENT;
  return session->Need(side, size);
}

int32_t Forward(rum_session* handle, uint32_t from, uint64_t size) {
  ScriptedSession* session = Find(handle, "forward");
  if (!session) return RUM_E_STATE;
  if (!Sensible("forward", from)) return RUM_E_ARGUMENT;
  return session->Forward(from, size);
}

int32_t Relay(rum_session* handle) {
  ScriptedSession* session = Find(handle, "relay");
  return session ? session->Relay() : RUM_E_STATE;
}

int32_t RelayFrom(rum_session* handle, uint32_t side) {
  ScriptedSession* session = Find(handle, "relay_from");
  if (!session) return RUM_E_STATE;
  if (!Sensible("relay_from", side)) return RUM_E_ARGUMENT;
  return session->RelayFrom(side);
}

int32_t TakeBack(rum_session* handle, uint32_t side) {
  ScriptedSession* session = Find(handle, "take_back");
  if (!session) return RUM_E_STATE;
  if (!Sensible("take_back", side)) return RUM_E_ARGUMENT;
  return session->TakeBack(side);
}

int32_t Lookup(rum_session* handle, const void* key, size_t size) {
  ScriptedSession* session = Find(handle, "lookup");
  if (!session) return RUM_E_STATE;
  if (!Sensible("lookup", key, size)) return RUM_E_ARGUMENT;
  return session->Lookup(key, size);
}

int32_t Identify(rum_session* handle, const void* user, size_t size) {
  ScriptedSession* session = Find(handle, "identify");
  if (!session) return RUM_E_STATE;
  if (!Sensible("identify", user, size)) return RUM_E_ARGUMENT;
  return session->Identify(size ? user : "", size);
}

int32_t Connect(rum_session* handle, const char* address, size_t size) {
  ScriptedSession* session = Find(handle, "connect");
  if (!session) return RUM_E_STATE;
  if (!Sensible("connect", address, size)) return RUM_E_ARGUMENT;
  return session->Connect(address, size);
}

int32_t StartTls(rum_session* handle, uint32_t side, const char* server_name, size_t size) {
  ScriptedSession* session = Find(handle, "start_tls");
  if (!session) return RUM_E_STATE;
  if (!Sensible("start_tls", side) || !Sensible("start_tls", server_name, size)) {
    return RUM_E_ARGUMENT;
  }
  return session->StartTls(side, server_name, size);
}

uint64_t Pause(rum_session* handle) {
  ScriptedSession* session = Find(handle, "pause");
  return session ? session->Pause() : 0;
}

void Resume(uint64_t ticket, int32_t status, void* payload, void (*drop)(void* payload)) {
  const char* wrong = nullptr;
  {
    std::lock_guard lock(registry().mutex);
    auto found = registry().tickets.find(ticket);
    if (found == registry().tickets.end() && ticket > 0 && ticket < registry().forgotten) {
      // belongs to a session that was forgotten
    } else if (found == registry().tickets.end()) {
      wrong = "resume() with a ticket that pause() never gave";
    } else if (found->second.state == Ticket::State::kUsed) {
      wrong = "resume() with a ticket that was used before";
    } else if (found->second.state == Ticket::State::kOut) {
      found->second.state = Ticket::State::kUsed;
      found->second.session->KeepAnswer({ticket, status, payload, drop});
      registry().answered.notify_all();
      return;
    }
  }
  if (wrong) ViolateCurrent(wrong);
  if (drop) drop(payload);
}

uint64_t Timer(rum_session* handle, uint64_t milliseconds) {
  ScriptedSession* session = Find(handle, "timer");
  return session ? session->Timer(milliseconds) : 0;
}

void TimerCancel(rum_session* handle, uint64_t ticket) {
  if (ScriptedSession* session = Find(handle, "timer_cancel")) session->TimerCancel(ticket);
}

uint64_t Now() { return clock; }

size_t Peer(rum_session* handle, uint32_t side, char* text, size_t size) {
  ScriptedSession* session = Find(handle, "peer");
  if (!session || !Sensible("peer", side) || !Sensible("peer", text, size)) return 0;
  return session->Peer(side, text, size);
}

int32_t Note(rum_session* handle, const char* key, const void* value, size_t size) {
  ScriptedSession* session = Find(handle, "note");
  if (!session) return RUM_E_STATE;
  if (!Sensible("note", key, 1) || !Sensible("note", value, size)) return RUM_E_ARGUMENT;
  return session->Note(key, value, size);
}

void Log(rum_session* handle, uint32_t level, const char* text, size_t size) {
  if (handle && !Find(handle, "log")) return;
  if (!Sensible("log", text, size)) return;
  if (level > RUM_LOG_DEBUG) {
    ViolateCurrent("log() with level " + std::to_string(level));
    return;
  }
  RecordLog(level, std::string(size ? text : "", std::min<size_t>(size, RUM_MOST_LOG)));
}

void MetricAdd(rum_session* handle, uint32_t index, uint64_t delta) {
  if (ScriptedSession* session = Find(handle, "metric_add")) session->MetricAdd(index, delta);
}

void Close(rum_session* handle, uint32_t reason, const char* text, size_t size) {
  ScriptedSession* session = Find(handle, "close");
  if (session && Sensible("close", text, size)) session->Close(reason, text, size);
}

const void* Extension(const char* name) {
  if (!Sensible("extension", name, 1)) return nullptr;
  std::lock_guard lock(registry().mutex);
  if (registry().current) {
    const auto& extensions = registry().current->extensions;
    if (auto found = extensions.find(name); found != extensions.end()) return found->second;
  }
  std::string_view wanted = name;
  if (wanted == RUM_TLS_1) return &kTls;
  if (wanted == RUM_CLOCK_1) return &kClock;
  if (wanted == RUM_PROCESS_1) return &kProcess;
  if (wanted == RUM_RECORDS_1) return &kCheckedRecords;
  if (wanted == RUM_WORKER_1) return &kWorker;
  if (wanted == RUM_SHARED_1) return &kShared;
  if (wanted == RUM_LIMITS_1) return &kLimits;
  if (wanted == RUM_SESSIONS_1) return &kSessions;
  if (wanted == RUM_QUEUE_1) return &kQueue;
  if (wanted == RUM_KEEP_1) return &kKeep;
  return wanted == RUM_STATE_1 ? &kState : nullptr;
}

// The names are constants of this program, so a pointer stored by the child is valid in the parent.
std::atomic<const char*>& SharedHookName() {
  void* memory = ::mmap(nullptr, sizeof(std::atomic<const char*>), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  return *new (memory) std::atomic<const char*>("");
}

}  // namespace

std::atomic<uint64_t> clock = 1'000'000;
void (*on_violation)(const std::string& text) = nullptr;
std::atomic<const char*>& running_hook = SharedHookName();

const rum_host kTable = {
    .struct_size = sizeof(rum_host),
    .abi = RUM_MODULE_ABI,
    .version = PACKAGE_VERSION,
    .send = Send,
    .need = Need,
    .forward = Forward,
    .relay = Relay,
    .lookup = Lookup,
    .identify = Identify,
    .connect = Connect,
    .start_tls = StartTls,
    .pause = Pause,
    .resume = Resume,
    .timer = Timer,
    .timer_cancel = TimerCancel,
    .now = Now,
    .peer = Peer,
    .note = Note,
    .log = Log,
    .metric_add = MetricAdd,
    .close = Close,
    .extension = Extension,
    .relay_from = RelayFrom,
    .take_back = TakeBack,
};

static bool IsGone(const void* handle) {
  auto found = registry().handles.find(handle);
  return found == registry().handles.end() || !found->second.session;
}

void* NewHandle(ScriptedSession* session) {
  std::lock_guard lock(registry().mutex);
  auto& addresses = registry().addresses;
  while (addresses.size() > scripted::kGoneMost && IsGone(addresses.front().get())) {
    registry().handles.erase(addresses.front().get());
    addresses.pop_front();
  }
  registry().addresses.push_back(std::make_unique<char>());
  void* handle = registry().addresses.back().get();
  registry().handles[handle] = {session, false};
  return handle;
}

void KillHandle(void* handle) {
  std::lock_guard lock(registry().mutex);
  registry().handles[handle].dead = true;
}

void ForgetHandle(void* handle) {
  std::lock_guard lock(registry().mutex);
  registry().handles[handle] = {nullptr, true};
}

void ForgetGone() {
  std::lock_guard lock(registry().mutex);
  std::erase_if(registry().addresses, [](const auto& address) { return IsGone(address.get()); });
  std::erase_if(registry().handles, [](const auto& handle) { return !handle.second.session; });
  registry().forgotten = registry().next_ticket;
  std::erase_if(registry().tickets,
                [](const auto& ticket) { return ticket.second.state != Ticket::State::kOut; });
}

uint64_t NewTicket(ScriptedSession* session) {
  std::lock_guard lock(registry().mutex);
  uint64_t ticket = registry().next_ticket++;
  if (!session) return ticket;
  auto& tickets = registry().tickets;
  while (tickets.size() > scripted::kGoneMost &&
         tickets.begin()->second.state != Ticket::State::kOut) {
    tickets.erase(tickets.begin());
  }
  tickets[ticket] = {Ticket::State::kOut, session};
  return ticket;
}

void KillTicket(uint64_t ticket) {
  std::lock_guard lock(registry().mutex);
  auto found = registry().tickets.find(ticket);
  if (found == registry().tickets.end()) return;
  if (found->second.state == Ticket::State::kOut) found->second.state = Ticket::State::kGone;
  found->second.session = nullptr;
}

std::deque<ScriptedSession::Answer> TakeAnswers(std::deque<ScriptedSession::Answer>& answers) {
  std::lock_guard lock(registry().mutex);
  return std::exchange(answers, {});
}

bool WaitForAnswer(const std::deque<ScriptedSession::Answer>& answers, uint64_t milliseconds) {
  std::unique_lock lock(registry().mutex);
  return registry().answered.wait_for(lock, std::chrono::milliseconds(milliseconds),
                                      [&] { return !answers.empty(); });
}

void SetCurrent(ScriptedHost* host, ScriptedHost::World* world) {
  std::lock_guard lock(registry().mutex);
  registry().current = host;
  registry().world = world;
}

void ForgetHost(ScriptedHost* host) {
  std::lock_guard lock(registry().mutex);
  if (registry().current != host) return;
  registry().current = nullptr;
  registry().world = nullptr;
}

void Violate(ScriptedHost::World& world, std::string text) {
  const char* hook = running_hook;
  if (*hook && !text.starts_with(hook)) text = std::string(hook) + ": " + text;
  if (on_violation) on_violation(text);
  std::lock_guard lock(world.mutex);
  if (world.violations.size() < kViolationsMost) world.violations.push_back(std::move(text));
}

void RecordLog(uint32_t level, std::string text) {
  std::lock_guard lock(registry().mutex);
  if (!registry().world) {
    std::fprintf(stderr, "%s\n", text.c_str());
    return;
  }
  std::lock_guard world_lock(registry().world->mutex);
  registry().world->foreign_logs.push_back({Deed::Kind::kLog, 0, level, {}, std::move(text)});
}

}  // namespace host_table
}  // namespace rum
