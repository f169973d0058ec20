// Which hook of the module each thread is in. It is written down around every call of a hook, for
// those who notice a hook that does not return, and for the last line of a process that a hook
// ends.
#pragma once

#include <rum/module.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <string_view>

namespace rum {

// Every function of a module that rum calls, in the order of rum_module. kLoad is the loading of
// its file, kDrop the drop function of a payload or job that nobody takes, kRun a job of
// rum.worker/1.
enum class Hook : uint8_t {
  kNone,
  kLoad,
  kDrop,
  kRun,
  kInit,
  kConfigNew,
  kConfigFree,
  kWorkerStart,
  kWorkerReload,
  kWorkerStop,
  kSessionOpen,
  kClientData,
  kUpstreamOpen,
  kUpstreamData,
  kLookedUp,
  kTlsOpen,
  kSideEnd,
  kTimeout,
  kResumed,
  kSessionClose,
  kRefusal,
  kStats,
  kProbeOpen,
  kDrained,
  kRefusedOpen,
  kSharedFound,
};

inline constexpr std::string_view kHookNames[] = {"",
                                                  "load",
                                                  "drop",
                                                  "run",
                                                  "init",
                                                  "config_new",
                                                  "config_free",
                                                  "worker_start",
                                                  "worker_reload",
                                                  "worker_stop",
                                                  "session_open",
                                                  "client_data",
                                                  "upstream_open",
                                                  "upstream_data",
                                                  "looked_up",
                                                  "tls_open",
                                                  "side_end",
                                                  "timeout",
                                                  "resumed",
                                                  "session_close",
                                                  "refusal",
                                                  "stats",
                                                  "probe_open",
                                                  "drained",
                                                  "refused_open",
                                                  "shared_found"};

static_assert(std::size(kHookNames) == static_cast<size_t>(Hook::kSharedFound) + 1);
static_assert(std::size(kHookNames) - static_cast<size_t>(Hook::kInit) ==
                  (offsetof(rum_module, lacks) - offsetof(rum_module, init)) / sizeof(void (*)()),
              "a new hook needs a name here and an InHook where it is called");

constexpr std::string_view HookName(Hook hook) { return kHookNames[static_cast<size_t>(hook)]; }

// The hook that one thread is in. Only that thread writes it, so that a call costs a few plain
// stores.
class HookPlace {
 public:
  struct Seen {
    Hook hook = Hook::kNone;
    uint32_t calls = 0;    // hooks called so far: the same number is the same call
    uint64_t session = 0;  // 0: a hook that belongs to no session
    bool operator==(const Seen&) const = default;
  };

  HookPlace() = default;
  HookPlace(const HookPlace&) = delete;
  // [any] While the thread is between two calls the members may be of different ones.
  Seen Look() const {
    return {hook_.load(std::memory_order_relaxed), calls_.load(std::memory_order_relaxed),
            session_.load(std::memory_order_relaxed)};
  }

  // [any] The calling thread's, after Take(); else one that all threads without a place share.
  static HookPlace& OfThread();
  // [any] What the calling thread is in; kNone for a thread without a place. Safe in a signal
  // handler.
  static Seen LookAtThread();
  // [any] This is the calling thread's from now on. It outlives the thread.
  void Take();

 private:
  friend class InHook;
  std::atomic<Hook> hook_ = Hook::kNone;
  std::atomic<uint32_t> calls_ = 0;
  std::atomic<uint64_t> session_ = 0;
};

// Around the call of a hook, on the thread of `place`. Hooks may lie within each other: config_free
// may be called when session_close gives back the last session of a configuration.
class [[nodiscard]] InHook {
 public:
  InHook(HookPlace& place, Hook hook, uint64_t session = 0)
      : place_(place),
        outer_hook_(place.hook_.load(std::memory_order_relaxed)),
        outer_session_(place.session_.load(std::memory_order_relaxed)) {
    place.session_.store(session, std::memory_order_relaxed);
    place.calls_.store(place.calls_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    place.hook_.store(hook, std::memory_order_relaxed);
  }
  ~InHook() {
    place_.session_.store(outer_session_, std::memory_order_relaxed);
    place_.hook_.store(outer_hook_, std::memory_order_relaxed);
  }
  InHook(const InHook&) = delete;

 private:
  HookPlace& place_;
  const Hook outer_hook_;
  const uint64_t outer_session_;
};

// [main] How lines about the module name it: first its file, then its name.
void NameModule(std::string_view name);
// [any] Safe in a signal handler.
std::string_view ModuleName();

}  // namespace rum
