// The host as a script sees it: the host table, the groups of further calls, and end reasons.
#pragma once

#include <rum/module.h>

#include <cstddef>
#include <cstdint>

namespace rum::dialogue {

// The host table of init(), and its groups. nullptr: this rum does not have the group.
struct Host {
  const rum_host* calls = nullptr;
  const rum_tls* tls = nullptr;
  const rum_limits* limits = nullptr;
  const rum_clock* clock = nullptr;
  const rum_records* records = nullptr;
  const rum_worker_calls* worker = nullptr;
  const rum_shared* shared = nullptr;
  const rum_keep* keep = nullptr;
  const rum_sessions* sessions = nullptr;
  const rum_queue* queue = nullptr;
};
inline Host host;

// [main] A module's own hook init must call it. Without one, Hooks<> does.
inline int32_t Init(const rum_host* table, char* = nullptr, size_t = 0) {
  auto group = [table](const char* name) {
    return table->extension != nullptr ? table->extension(name) : nullptr;
  };
  host.calls = table;
  host.tls = static_cast<const rum_tls*>(group(RUM_TLS_1));
  host.limits = static_cast<const rum_limits*>(group(RUM_LIMITS_1));
  host.clock = static_cast<const rum_clock*>(group(RUM_CLOCK_1));
  host.records = static_cast<const rum_records*>(group(RUM_RECORDS_1));
  host.worker = static_cast<const rum_worker_calls*>(group(RUM_WORKER_1));
  host.shared = static_cast<const rum_shared*>(group(RUM_SHARED_1));
  host.keep = static_cast<const rum_keep*>(group(RUM_KEEP_1));
  host.queue = static_cast<const rum_queue*>(group(RUM_QUEUE_1));
  host.sessions = static_cast<const rum_sessions*>(group(RUM_SESSIONS_1));
  return RUM_OK;
}

// Why a wait failed, as RUM_CLOSE_...; false: it did not fail.
class [[nodiscard]] Reason {
 public:
  constexpr Reason() = default;
  constexpr Reason(uint32_t number) : number_(number) {}
  constexpr explicit operator bool() const { return number_ != 0; }
  constexpr uint32_t number() const { return number_; }
  friend constexpr bool operator==(Reason, Reason) = default;

 private:
  uint32_t number_ = 0;
};

namespace detail {

// Whether a module may close with it: the reasons marked (module) in rum/module.h. Only rum itself
// uses the others.
constexpr bool IsOfModules(Reason reason) {
  switch (reason.number()) {
    case RUM_CLOSE_CLIENT:
    case RUM_CLOSE_UPSTREAM:
    case RUM_CLOSE_CLIENT_GONE:
    case RUM_CLOSE_UPSTREAM_GONE:
    case RUM_CLOSE_NO_DESTINATION:
    case RUM_CLOSE_BAD_DESTINATION:
    case RUM_CLOSE_MAP_UNAVAILABLE:
    case RUM_CLOSE_DENIED:
    case RUM_CLOSE_UPSTREAM_DENIED:
    case RUM_CLOSE_CLIENT_PROTOCOL:
    case RUM_CLOSE_UPSTREAM_PROTOCOL:
    case RUM_CLOSE_UNSUPPORTED:
    case RUM_CLOSE_LIMIT:
    case RUM_CLOSE_MODULE:
    case RUM_CLOSE_PROBED:
    case RUM_CLOSE_BLOCKED:
      return true;
    default:
      return false;
  }
}

}  // namespace detail

}  // namespace rum::dialogue
