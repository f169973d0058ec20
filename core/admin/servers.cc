#include "admin/servers.h"

#include <algorithm>
#include <iterator>
#include <unordered_map>

#include "admin/generations.h"
#include "admin/statistics.h"
#include "base/natural_order.h"
#include "map/map_watcher.h"
#include "proxy/proxy.h"
#include "settings/settings.h"

namespace rum {
namespace {

// Of servers that only sessions name, such as those of a module with names of its own.
constexpr size_t kBusyMost = 4096;

ServerState Judge(const ServerView& server) {
  if (server.refused && server.refused->admin == AdminState::kMaintenance)
    return ServerState::kMaint;
  if (server.refused && server.refused->admin == AdminState::kDrain) return ServerState::kDrain;
  if (server.check && server.check->state == DestinationHealth::State::kDown) {
    return ServerState::kDown;
  }
  if (server.refused && server.refused->open) {
    return server.refused->milliseconds ? ServerState::kCircuitOpen : ServerState::kHalfOpen;
  }
  const bool up = server.check && server.check->state == DestinationHealth::State::kUp;
  return up ? ServerState::kUp : ServerState::kUnknown;
}

bool Before(const ServerView& a, const ServerView& b) {
  // Up and not checked are equally unremarkable.
  const ServerState left = std::min(a.state, ServerState::kUp);
  const ServerState right = std::min(b.state, ServerState::kUp);
  if (left != right) return left < right;
  if (a.sessions != b.sessions) return a.sessions > b.sessions;
  if (a.is_default || b.is_default) return a.is_default > b.is_default;
  return NaturalLess(a.address, b.address);
}

// The servers of the map, which the prober knows only if it checks them.
std::vector<std::string> Unchecked(const Overview& overview) {
  std::vector<std::string> servers;
  if (!overview.map_destinations || overview.prober.on()) return servers;
  for (const std::string& text : *overview.map_destinations) {
    if (servers.size() == Prober::kDestinationsMost) break;
    if (auto address = ParseAddress(text)) servers.push_back(address->text());
  }
  return servers;
}

}  // namespace

std::string_view ServerStateWord(ServerState state) {
  constexpr std::string_view kWords[] = {"down",  "circuit open", "circuit half-open", "maint",
                                         "drain", "up",           "not checked"};
  return kWords[static_cast<size_t>(state)];
}

ServerList ListServers(const Overview& overview, size_t most) {
  const Proxy& proxy = overview.proxy;
  const Prober& prober = overview.prober;
  ServerList list;
  list.unavailable = proxy.server_health().List(ServerHealth::kMost);
  std::unordered_map<std::string_view, size_t> places;
  auto& servers = list.servers;
  auto find = [&](std::string_view text) -> ServerView& {
    auto [place, fresh] = places.emplace(text, servers.size());
    if (fresh) servers.emplace_back().address = text;
    return servers[place->second];
  };
  const auto busy = proxy.loads().Top(kBusyMost);
  std::vector<std::string> defaults;
  for (const Address& address : proxy.settings()->destinations) defaults.push_back(address.text());
  const std::vector<std::string> mapped = Unchecked(overview);
  for (const std::string& text : defaults) find(text).is_default = true;
  for (const auto& [text, check] : prober.destinations()) {
    ServerView& server = find(text);
    if (prober.on()) server.check = &check;
  }
  for (const std::string& text : mapped) find(text);
  for (const auto& one : list.unavailable) find(one.server).refused = &one;
  for (const auto& [text, sessions] : busy) find(text).sessions = sessions;
  if (overview.older) {
    for (const GenerationState& state : overview.older->states()) {
      for (const auto& [text, sessions] : state.servers) find(text).sessions += sessions;
    }
  }
  for (ServerView& server : servers) {
    server.state = Judge(server);
    ++list.states[static_cast<size_t>(server.state)];
  }
  std::stable_sort(servers.begin(), servers.end(), Before);
  list.known = servers.size();
  servers.resize(std::min(servers.size(), most));
  return list;
}

}  // namespace rum
