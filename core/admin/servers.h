// The servers in use, from all that knows one: options, health checks, circuits, operators,
// sessions. /stats, /metrics and the status page show this list.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "probe/prober.h"
#include "upstream/server_health.h"

namespace rum {

struct Overview;

// The most urgent first.
enum class ServerState : uint8_t { kDown, kCircuitOpen, kHalfOpen, kMaint, kDrain, kUp, kUnknown };
inline constexpr size_t kServerStates = 7;

struct ServerView {
  std::string address;
  bool is_default = false;
  uint64_t sessions = 0;                     // of all processes
  const DestinationHealth* check = nullptr;  // nullptr: is not checked; owned by the prober
  const ServerHealth::Unavailable* refused = nullptr;  // owned by the list
  ServerState state = ServerState::kUnknown;

  bool usable() const { return state >= ServerState::kUp; }
};

// "down", "circuit open", "circuit half-open", "maint", "drain", "up", "not checked".
std::string_view ServerStateWord(ServerState state);

// Valid until the main loop runs again: it borrows from the prober.
struct ServerList {
  static constexpr size_t kMost = 1000;

  // Down, circuit open, maint and drain first, then those with the most sessions, then those of -d
  // as written, then by address.
  std::vector<ServerView> servers;
  size_t known = 0;                   // more than `servers` has, if there are more than kMost
  size_t states[kServerStates] = {};  // how many of all that are known, by ServerState

  size_t count(ServerState one) const { return states[static_cast<size_t>(one)]; }
  // Down, or with an open circuit: clients that must use it are refused.
  size_t down() const { return count(ServerState::kDown) + count(ServerState::kCircuitOpen); }
  size_t disabled() const { return count(ServerState::kMaint) + count(ServerState::kDrain); }

  std::vector<ServerHealth::Unavailable> unavailable;

  ServerList() = default;
  ServerList(ServerList&&) = default;  // the servers point into `unavailable`, which a copy breaks
  ServerList& operator=(ServerList&&) = default;
};

// [main]
ServerList ListServers(const Overview& overview, size_t most = ServerList::kMost);

}  // namespace rum
