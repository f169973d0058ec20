#include "proxy/host_calls.h"

#include <algorithm>
#include <string>
#include <string_view>

#include "base/alpn_list.h"
#include "base/clock.h"
#include "base/log.h"
#include "config.h"
#include "map/record_calls.h"
#include "module/state_store.h"
#include "proxy/dialogue.h"
#include "proxy/module_log.h"
#include "proxy/proxy.h"
#include "proxy/session.h"
#include "proxy/shared_table.h"
#include "proxy/worker.h"
#include "settings/settings.h"

namespace rum {
namespace {

constexpr uint64_t kTimerMost = RUM_MOST_MILLISECONDS * 1000ull;  // microseconds

Session& Of(rum_session* session) { return *static_cast<Session*>(session); }

std::string_view View(const void* bytes, size_t size) {
  return {static_cast<const char*>(bytes), size};
}

// Passes a request to the session's dialogue if the session still accepts requests.
template <class... P, class... A>
int32_t Ask(rum_session* s, int32_t (Dialogue::*request)(P...), A... arguments) {
  Dialogue* dialogue = Of(s).asking();
  return dialogue ? (dialogue->*request)(arguments...) : RUM_E_STATE;
}

// Bounds are checked first: arguments beyond them are refused in any state.
int32_t Send(rum_session* s, uint32_t side, const void* data, size_t size) {
  if (data && size > RUM_MOST_SEND) return RUM_E_LIMIT;
  return Of(s).Send(side, data, size);
}
int32_t Need(rum_session* s, uint32_t side, size_t size) {
  if (side > RUM_UPSTREAM) return RUM_E_ARGUMENT;
  return Ask(s, &Dialogue::Need, side, size);
}
int32_t Forward(rum_session* s, uint32_t from, uint64_t size) {
  if (from > RUM_UPSTREAM) return RUM_E_ARGUMENT;
  return Ask(s, &Dialogue::Forward, from, size);
}
int32_t Relay(rum_session* s) { return Ask(s, &Dialogue::Relay); }
int32_t RelayFrom(rum_session* s, uint32_t side) {
  if (side > RUM_UPSTREAM) return RUM_E_ARGUMENT;
  return Ask(s, &Dialogue::RelayFrom, side);
}
int32_t TakeBack(rum_session* s, uint32_t side) {
  if (side > RUM_UPSTREAM) return RUM_E_ARGUMENT;
  return Ask(s, &Dialogue::TakeBack, side);
}
int32_t Lookup(rum_session* s, const void* key, size_t size) {
  if (!key || size == 0) return RUM_E_ARGUMENT;
  if (size > RUM_MOST_KEY) return RUM_E_LIMIT;
  return Ask(s, &Dialogue::Lookup, View(key, size));
}
int32_t Identify(rum_session* s, const void* user, size_t size) {
  if (!user && size) return RUM_E_ARGUMENT;
  if (size > RUM_MOST_USER) return RUM_E_LIMIT;
  return Ask(s, &Dialogue::Identify, View(user, size));
}
int32_t Connect(rum_session* s, const char* address, size_t size) {
  if (!address && size) return RUM_E_ARGUMENT;
  if (size > RUM_MOST_ADDRESS) return RUM_E_LIMIT;
  return Ask(s, &Dialogue::Connect, View(address, size));
}
int32_t StartTls(rum_session* s, uint32_t side, const char* name, size_t size) {
  if (side > RUM_UPSTREAM || (!name && size)) return RUM_E_ARGUMENT;
  if (size > RUM_MOST_SERVER_NAME) return RUM_E_LIMIT;
  return Ask(s, &Dialogue::StartTls, side, View(name, size));
}
int32_t Admit(rum_session* s, const void* record, size_t size) {
  if (!record && size) return RUM_E_ARGUMENT;
  if (size > RUM_MOST_RECORD) return RUM_E_LIMIT;
  return Ask(s, &Dialogue::Admit, View(record, size));
}
uint64_t Pause(rum_session* s) {
  Dialogue* dialogue = Of(s).asking();
  return dialogue ? dialogue->Pause() : 0;
}

void Resume(uint64_t ticket, int32_t status, void* payload, void (*drop)(void*)) {
  bool posted = Proxy::PostFor(ticket, [ticket, status, payload, drop](Worker& worker) {
    if (Session* session = worker.Redeem(ticket)) {
      session->OnResumed(ticket, status, payload, drop);
    } else if (drop) {
      InHook in(worker.hook_place, Hook::kDrop);
      drop(payload);
    }
  });
  if (!posted && drop) drop(payload);
}

uint64_t AddTimer(rum_session* s, uint64_t microseconds) {
  Dialogue* dialogue = Of(s).asking();
  return dialogue ? dialogue->AddTimer(std::min(microseconds, kTimerMost)) : 0;
}
uint64_t Timer(rum_session* s, uint64_t milliseconds) {
  return AddTimer(s, std::min(milliseconds, kTimerMost / 1000) * 1000);
}
void TimerCancel(rum_session* s, uint64_t ticket) { Of(s).CancelTimer(ticket); }
uint64_t Now() { return NowMillis(); }

size_t Peer(rum_session* s, uint32_t side, char* text, size_t size) {
  if (side > RUM_UPSTREAM) return 0;
  std::string peer = Of(s).Peer(side);
  if (text && size) {
    size_t n = peer.copy(text, size - 1);
    text[n] = 0;
  }
  return peer.size();
}

int32_t Note(rum_session* s, const char* key, const void* value, size_t size) {
  return Of(s).Note(key, value, size);
}

void Log(rum_session* s, uint32_t level, const char* text, size_t size) {
  if (!text) return;
  auto at = level <= RUM_LOG_DEBUG ? static_cast<log::Level>(level) : log::Level::kDebug;
  if (!log::Enabled(at)) return;
  WriteModuleLine(at, s ? "session " + std::to_string(Of(s).id()) + ": " : std::string(),
                  {text, size});
}

void CountFor(Worker& worker, uint32_t index, uint64_t delta) {
  auto& counters = worker.counters.module;
  if (index < counters.size()) counters[index].Add(delta);
}
void MetricAdd(rum_session* s, uint32_t index, uint64_t delta) {
  CountFor(Of(s).worker(), index, delta);
}

void Close(rum_session* s, uint32_t reason, const char* text, size_t size) {
  Dialogue* dialogue = Of(s).asking();
  if (dialogue) dialogue->Close(reason, text ? std::string_view(text, size) : std::string_view());
}

int32_t SetAlpn(rum_session* s, uint32_t side, const void* list, size_t size) {
  if (side > RUM_UPSTREAM || (!list && size)) return RUM_E_ARGUMENT;
  if (size > RUM_MOST_ALPN) return RUM_E_LIMIT;
  if (size && !IsAlpnList(View(list, size))) return RUM_E_ARGUMENT;
  return Ask(s, &Dialogue::SetAlpn, side, View(list, size));
}

template <Session::TlsFactOf kFact, class T>
int32_t TlsFact(rum_session* s, uint32_t side, T* to, size_t* size) {
  return Of(s).TlsFact(kFact, side, to, size);
}
template <Session::TlsFactOf kFact, class T>
int32_t TlsFactOfClient(rum_session* s, T* to, size_t* size) {
  return Of(s).TlsFact(kFact, RUM_CLIENT, to, size);
}

const rum_tls kTls = {
    sizeof(rum_tls),
    0,
    [](rum_session* s, uint32_t side) { return Of(s).TlsModeOf(side); },
    [](rum_session* s, uint32_t side) { return Of(s).TlsActive(side); },
    [](rum_session* s, uint8_t* digest) { return Of(s).TlsFingerprint(digest); },
    [](rum_session* s, uint32_t side) { return Of(s).TlsEndIsCut(side); },
    SetAlpn,
    TlsFact<Session::TlsFactOf::kAlpn>,
    TlsFactOfClient<Session::TlsFactOf::kOfferedAlpn>,
    TlsFactOfClient<Session::TlsFactOf::kServerName>,
    [](rum_session* s, uint32_t side) { return Of(s).TlsVersion(side); },
    TlsFact<Session::TlsFactOf::kCertificate>,
    TlsFact<Session::TlsFactOf::kEndPoint>,
};

const rum_limits kLimits = {
    sizeof(rum_limits),
    0,
    Admit,
    [](rum_session* s) { Of(s).LoginFailed(); },
    [](rum_session* s) { return static_cast<int32_t>(Of(s).Blocked()); },
    [](rum_session* s) { return Ask(s, &Dialogue::TryLogin); },
    [](rum_session* s) { return Ask(s, &Dialogue::Confirm); },
    [](rum_worker* w) {
      const Settings& settings = static_cast<Worker*>(w)->settings();
      return static_cast<int32_t>(settings.admission.guard.failures.on());
    },
};

const rum_state kState = {sizeof(rum_state), 0, StateStore::SaveForModule,
                          StateStore::LoadForModule};

const rum_clock kClock = {sizeof(rum_clock), 0, NowMicros, AddTimer};

std::string user_names;  // each followed by a NUL

const rum_process kProcess = {sizeof(rum_process), 0, [](char* text, size_t size) {
                                if (text && user_names.size() <= size) user_names.copy(text, size);
                                return user_names.size();
                              }};

WorkerCalls& CallsOf(rum_worker* worker) { return static_cast<Worker*>(worker)->module_calls; }

const rum_worker_calls kWorker = {
    sizeof(rum_worker_calls),
    0,
    [](rum_worker* w, uint64_t milliseconds, WorkerCalls::Run run, void* argument,
       WorkerCalls::Drop drop) { return CallsOf(w).AddTimer(milliseconds, run, argument, drop); },
    [](rum_worker* w, uint64_t ticket) { CallsOf(w).CancelTimer(ticket); },
    [](rum_worker* w) { return CallsOf(w).ticket(); },
    WorkerCalls::Post,
    [](rum_worker* w, uint32_t index, uint64_t delta) {
      CountFor(*static_cast<Worker*>(w), index, delta);
    },
};

int32_t FindShared(const void* key, size_t key_size, void* value, size_t* value_size, bool take) {
  if (!key) return RUM_E_ARGUMENT;
  SharedTable* table = SharedTable::Get();
  if (!table) return RUM_E_UNSUPPORTED;
  return table->Find({static_cast<const char*>(key), key_size}, value, value_size, take);
}

const rum_shared kShared = {
    sizeof(rum_shared),
    0,
    [](rum_session* s, const void* key, size_t key_size, const void* value, size_t value_size,
       uint64_t lifetime) -> int32_t {
      if (!key || (!value && value_size)) return RUM_E_ARGUMENT;
      return Of(s).PutShared({static_cast<const char*>(key), key_size},
                             {static_cast<const char*>(value), value_size}, lifetime);
    },
    [](const void* key, size_t key_size, void* value, size_t* value_size) -> int32_t {
      if (!value_size) return RUM_E_ARGUMENT;
      return FindShared(key, key_size, value, value_size, false);
    },
    [](const void* key, size_t key_size, void* value, size_t* value_size) {
      return FindShared(key, key_size, value, value_size, true);
    },
    [](rum_session* s, const void* key, size_t key_size) -> int32_t {
      if (!key || key_size == 0) return RUM_E_ARGUMENT;
      if (key_size > RUM_MOST_SHARED_KEY) return RUM_E_LIMIT;
      return Ask(s, &Dialogue::FindShared, View(key, key_size));
    },
    [](rum_session* s, const void* key, size_t key_size) -> int32_t {
      if (!key || key_size == 0) return RUM_E_ARGUMENT;
      return Of(s).RemoveShared(View(key, key_size));
    },
};

const rum_keep kKeep = {
    sizeof(rum_keep),
    0,
    [](rum_session* s, uint32_t side, const void* tail, size_t size) -> int32_t {
      if (!tail) return RUM_E_ARGUMENT;
      return Ask(s, &Dialogue::ForwardUntil, side, View(tail, size));
    },
    [](rum_session* s, uint32_t side) -> int32_t {
      Dialogue* dialogue = Of(s).asking();
      return dialogue ? dialogue->Answered(side) : RUM_E_STATE;
    },
    [](rum_session* s) { return Ask(s, &Dialogue::Part); },
    [](rum_session* s, const void* key, size_t key_size, const void* value, size_t value_size,
       uint32_t most, uint64_t milliseconds) -> int32_t {
      if (!key || key_size == 0 || (!value && value_size)) return RUM_E_ARGUMENT;
      if (key_size > RUM_MOST_KEEP_KEY || value_size > RUM_MOST_KEEP_VALUE ||
          milliseconds > RUM_MOST_MILLISECONDS) {
        return RUM_E_LIMIT;
      }
      Dialogue* dialogue = Of(s).asking();
      if (!dialogue) return RUM_E_STATE;
      KeptConnections::Label label;
      label.key = View(key, key_size);
      label.value = View(value, value_size);
      label.milliseconds = milliseconds;
      return dialogue->Keep(std::move(label), most);
    },
    [](rum_session* s, const void* key, size_t key_size) -> int32_t {
      if (!key || key_size == 0) return RUM_E_ARGUMENT;
      if (key_size > RUM_MOST_KEEP_KEY) return RUM_E_LIMIT;
      return Ask(s, &Dialogue::Want, View(key, key_size));
    },
    [](rum_session* s, void* value, size_t* value_size) -> int32_t {
      if (!value_size || (!value && *value_size)) return RUM_E_ARGUMENT;
      Dialogue* dialogue = Of(s).asking();
      return dialogue ? dialogue->Taken(value, value_size) : RUM_E_STATE;
    },
    [](rum_session* s) { return Ask(s, &Dialogue::Renew); },
    [](rum_session* s, const char* address, size_t address_size, const void* key,
       size_t key_size) -> int32_t {
      if (!key || key_size == 0 || (!address && address_size)) return RUM_E_ARGUMENT;
      if (key_size > RUM_MOST_KEEP_KEY || address_size > RUM_MOST_ADDRESS) return RUM_E_LIMIT;
      return Ask(s, &Dialogue::Spend, View(address, address_size), View(key, key_size));
    },
    [](rum_session* s) { return Ask(s, &Dialogue::DropKept); },
};

const rum_sessions kSessions = {
    sizeof(rum_sessions),
    0,
    [](rum_session* s, char* text, size_t* size) -> int32_t {
      if (!size || (!text && *size)) return RUM_E_ARGUMENT;
      return Of(s).Destination(text, size);
    },
    [](rum_session* s) { return Ask(s, &Dialogue::NoLogin); },
};

const rum_queue kQueue = {
    sizeof(rum_queue),
    0,
    [](rum_session* s, uint32_t side) {
      return side <= RUM_UPSTREAM ? Of(s).Waiting(side) : uint64_t{0};
    },
    [](rum_session* s, uint32_t side, uint64_t below) -> int32_t {
      if (side > RUM_UPSTREAM) return RUM_E_ARGUMENT;
      return Ask(s, &Dialogue::AwaitDrained, side, below);
    },
};

const void* Extension(const char* name) {
  std::string_view wanted = name ? name : "";
  if (wanted == RUM_TLS_1) return &kTls;
  if (wanted == RUM_LIMITS_1) return &kLimits;
  if (wanted == RUM_CLOCK_1) return &kClock;
  if (wanted == RUM_PROCESS_1) return &kProcess;
  if (wanted == RUM_RECORDS_1) return &kRecords;
  if (wanted == RUM_WORKER_1) return &kWorker;
  if (wanted == RUM_KEEP_1) return &kKeep;
  if (wanted == RUM_SESSIONS_1) return &kSessions;
  if (wanted == RUM_QUEUE_1) return &kQueue;
  if (wanted == RUM_SHARED_1) {
    SharedTable::Get();  // creates it, for a process that takes over later
    return &kShared;
  }
  return wanted == RUM_STATE_1 ? &kState : nullptr;
}

}  // namespace

void SetUserNames(const std::vector<std::string>& names) {
  user_names.clear();
  for (const std::string& name : names) user_names.append(name).append(1, '\0');
}

const rum_host kHost = {
    sizeof(rum_host),
    RUM_MODULE_ABI,
    PACKAGE_VERSION,
    Send,
    Need,
    Forward,
    Relay,
    Lookup,
    Identify,
    Connect,
    StartTls,
    Pause,
    Resume,
    Timer,
    TimerCancel,
    Now,
    Peer,
    Note,
    Log,
    MetricAdd,
    Close,
    Extension,
    RelayFrom,
    TakeBack,
};

}  // namespace rum
