// The table of reasons for refusing a client before its module handles it or before it is
// connected: name for statistics and text for the log.
#pragma once

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <string_view>

#include "rum/module.h"

namespace rum {

enum class Refusal : uint8_t {
  kNone,
  kAllow,
  kDeny,
  kMaxConnections,
  kMaxConnectionsPerIp,
  kMaxConnecting,
  kMaxConnectingPerDestination,
  kConnectionRate,
  kConnectionRatePerIp,
  kMaxMemory,
};

struct RefusalRow {
  Refusal refusal;
  std::string_view word;
  uint32_t reason;  // RUM_CLOSE_...
  std::string_view detail;
};

inline constexpr RefusalRow kRefusals[] = {
    {Refusal::kAllow, "allow", RUM_CLOSE_NOT_ALLOWED, "not in --allow"},
    {Refusal::kDeny, "deny", RUM_CLOSE_NOT_ALLOWED, "in --deny"},
    {Refusal::kMaxConnections, "max_connections", RUM_CLOSE_LIMIT, "--max-connections"},
    {Refusal::kMaxConnectionsPerIp, "max_connections_per_ip", RUM_CLOSE_LIMIT,
     "--max-connections-per-ip"},
    {Refusal::kMaxConnecting, "max_connecting", RUM_CLOSE_LIMIT, "--max-connecting"},
    {Refusal::kMaxConnectingPerDestination, "max_connecting_per_destination", RUM_CLOSE_LIMIT,
     "--max-connecting-per-destination"},
    {Refusal::kConnectionRate, "connection_rate", RUM_CLOSE_LIMIT, "--connection-rate"},
    {Refusal::kConnectionRatePerIp, "connection_rate_per_ip", RUM_CLOSE_LIMIT,
     "--connection-rate-per-ip"},
    {Refusal::kMaxMemory, "max_memory", RUM_CLOSE_LIMIT, "--max-memory"},
};
inline constexpr size_t kRefusalCount = std::size(kRefusals);

constexpr bool RefusalsAreInOrder() {
  for (size_t i = 0; i < kRefusalCount; ++i) {
    if (static_cast<size_t>(kRefusals[i].refusal) != i + 1) return false;
  }
  return true;
}
static_assert(RefusalsAreInOrder());

// `refusal` must not be kNone.
constexpr const RefusalRow& RowOf(Refusal refusal) {
  return kRefusals[static_cast<size_t>(refusal) - 1];
}

}  // namespace rum
