// The host table of the scripted host: finds the session behind a handle, refuses what makes no
// sense, and notes what a module must not do. Its functions are all that a module can call.
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdio>
#include <mutex>
#include <new>
#include <unordered_map>

#include "check/scripted_session.h"

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
  ScriptedSession* session = nullptr;  // null: the session and its host are gone
  bool dead = false;                   // session_close has returned
};

struct Ticket {
  enum class State : uint8_t { kOut, kUsed, kGone } state;
  ScriptedSession* session;
};

// Handles stay allocated for a while, so that their addresses are not used again and a late call is
// told apart.
struct Registry {
  std::mutex mutex;
  std::condition_variable answered;
  std::unordered_map<const void*, Handle> handles;
  std::deque<std::unique_ptr<char>> addresses;
  std::map<uint64_t, Ticket> tickets;  // the oldest first
  uint64_t next_ticket = 1;
  uint64_t forgotten = 0;  // tickets below it are gone, and no longer told apart
  ScriptedHost* current = nullptr;
  ScriptedHost::World* world = nullptr;  // of `current`
};

Registry& registry() {
  static Registry* one = new Registry;  // outlives every static object of a module
  return *one;
}

void ViolateCurrent(std::string text) {
  std::lock_guard lock(registry().mutex);
  if (registry().world) {
    Violate(*registry().world, std::move(text));
  } else {
    std::fprintf(stderr, "rum-check: %s\n", text.c_str());
  }
}

// The session behind a handle, or null when the call cannot be served; that is noted.
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
      // of a session that is gone for long
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
  RecordLog(level, std::string(size ? text : "", size));
}

void MetricAdd(rum_session* handle, uint32_t index, uint64_t delta) {
  if (ScriptedSession* session = Find(handle, "metric_add")) session->MetricAdd(index, delta);
}

void Close(rum_session* handle, uint32_t reason, const char* text, size_t size) {
  ScriptedSession* session = Find(handle, "close");
  if (session && Sensible("close", text, size)) session->Close(reason, text, size);
}

int32_t TlsMode(rum_session* handle, uint32_t side) {
  ScriptedSession* session = Find(handle, "tls mode");
  if (!session) return RUM_E_STATE;
  if (!Sensible("tls mode", side)) return RUM_E_ARGUMENT;
  return static_cast<int32_t>(session->host().tls_mode[side]);
}

int32_t TlsActive(rum_session* handle, uint32_t side) {
  ScriptedSession* session = Find(handle, "tls active");
  if (!session) return RUM_E_STATE;
  if (!Sensible("tls active", side)) return RUM_E_ARGUMENT;
  return session->sides[side].tls != ScriptedSession::Tls::kOff;
}

int32_t TlsFingerprint(rum_session* handle, uint8_t* digest) {
  ScriptedSession* session = Find(handle, "tls fingerprint");
  if (!session) return RUM_E_STATE;
  if (!Sensible("tls fingerprint", digest, 32)) return RUM_E_ARGUMENT;
  return session->TlsFingerprint(digest);
}

int32_t TlsEndIsCut(rum_session* handle, uint32_t side) {
  ScriptedSession* session = Find(handle, "tls end_is_cut");
  if (!session) return RUM_E_STATE;
  if (!Sensible("tls end_is_cut", side)) return RUM_E_ARGUMENT;
  return session->sides[side].there ? RUM_OK : RUM_E_STATE;
}

const rum_tls kTls = {
    .struct_size = sizeof(rum_tls),
    .reserved = 0,
    .mode = TlsMode,
    .active = TlsActive,
    .fingerprint = TlsFingerprint,
    .end_is_cut = TlsEndIsCut,
};

int32_t Admit(rum_session* handle, const void* record, size_t size) {
  ScriptedSession* session = Find(handle, "admit");
  if (!session) return RUM_E_STATE;
  if (!Sensible("admit", record, size)) return RUM_E_ARGUMENT;
  return session->Admit(record, size);
}

void LoginFailed(rum_session* handle) {
  if (ScriptedSession* session = Find(handle, "login_failed")) session->LoginFailed();
}

int32_t Blocked(rum_session* handle) {
  ScriptedSession* session = Find(handle, "blocked");
  return session && session->host().blocked;
}

int32_t TryLogin(rum_session* handle) {
  ScriptedSession* session = Find(handle, "try_login");
  return session ? session->TryLogin() : RUM_E_STATE;
}

int32_t Confirm(rum_session* handle) {
  ScriptedSession* session = Find(handle, "confirm");
  return session ? session->Confirm() : RUM_E_STATE;
}

const rum_limits kLimits = {
    .struct_size = sizeof(rum_limits),
    .reserved = 0,
    .admit = Admit,
    .login_failed = LoginFailed,
    .blocked = Blocked,
    .try_login = TryLogin,
    .confirm = Confirm,
    .counts_failures = [](rum_worker*) { return 0; },
};

int32_t Save(const char* name, const void* bytes, size_t size) {
  if (!Sensible("save", name, 1) || !Sensible("save", bytes, size)) return RUM_E_ARGUMENT;
  std::lock_guard lock(registry().mutex);
  if (!registry().current) return RUM_E_UNSUPPORTED;
  registry().current->state[name].assign(static_cast<const char*>(size ? bytes : ""), size);
  return RUM_OK;
}

size_t Load(const char* name, void* bytes, size_t size) {
  if (!Sensible("load", name, 1) || !Sensible("load", bytes, size)) return 0;
  std::lock_guard lock(registry().mutex);
  if (!registry().current) return 0;
  auto found = registry().current->state.find(name);
  if (found == registry().current->state.end()) return 0;
  if (found->second.size() <= size) found->second.copy(static_cast<char*>(bytes), size);
  return found->second.size();
}

const rum_state kState = {
    .struct_size = sizeof(rum_state),
    .reserved = 0,
    .save = Save,
    .load = Load,
};

uint64_t NowMicros() { return clock * 1000; }

uint64_t TimerMicros(rum_session* handle, uint64_t microseconds) {
  return Timer(handle, microseconds / 1000 + (microseconds % 1000 != 0));
}

const rum_clock kClock = {
    .struct_size = sizeof(rum_clock),
    .reserved = 0,
    .now = NowMicros,
    .timer = TimerMicros,
};

size_t UserNames(char* text, size_t size) {
  if (!Sensible("user_names", text, size)) return 0;
  std::lock_guard lock(registry().mutex);
  if (!registry().current) return 0;
  const std::string& names = registry().current->user_names;
  if (names.size() <= size) names.copy(text, size);
  return names.size();
}

const rum_process kProcess = {
    .struct_size = sizeof(rum_process),
    .reserved = 0,
    .user_names = UserNames,
};

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
  if (wanted == RUM_LIMITS_1) return &kLimits;
  return wanted == RUM_STATE_1 ? &kState : nullptr;
}

// The names are constants of this program: what a child stores, its parent can read.
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
