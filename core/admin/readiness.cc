#include "admin/readiness.h"

#include <fmt/format.h>
#include <time.h>

#include <algorithm>

#include "admin/generations.h"
#include "admin/map_sources.h"
#include "admin/servers.h"
#include "admin/share_report.h"
#include "admin/statistics.h"
#include "admin/totals.h"
#include "limits/resident.h"
#include "map/map_watcher.h"
#include "proxy/hook_watch.h"
#include "proxy/proxy.h"
#include "settings/settings.h"

namespace rum {

std::string WhyTooFewServers(const ReadyServers& wanted, const ServerList& servers) {
  const uint64_t up = servers.count(ServerState::kUp) + servers.count(ServerState::kUnknown) +
                      servers.count(ServerState::kHalfOpen);
  const bool enough =
      wanted.percent ? up * 100 >= wanted.number * servers.known : up >= wanted.number;
  if (enough) return {};
  return fmt::format("{} of {} server{} {} up, --ready-servers wants {}{}", up, servers.known,
                     servers.known == 1 ? "" : "s", up == 1 || servers.known == 1 ? "is" : "are",
                     wanted.number, wanted.percent ? " %" : "");
}

std::string WhyNotReady(const Overview& overview, const ServerList& servers) {
  if (overview.draining) return "draining";
  if (overview.starting) return "starting";
  const bool loaded = overview.map && overview.map->stats().loads > 0;
  auto why = loaded ? std::string() : WhyNoSource(overview.proxy);
  if (!why.empty()) return why;
  if (overview.map && !loaded && !overview.proxy.remote_map()) return "no user map is loaded";
  why = overview.proxy.hook_watch().WhyNotReady();
  if (!why.empty()) return why;
  return WhyTooFewServers(overview.proxy.settings()->ready_servers, servers);
}

std::string WhyNotReady(const Overview& overview) {
  const bool counts = overview.proxy.settings()->ready_servers.number > 0;
  return WhyNotReady(overview, counts ? ListServers(overview, 0) : ServerList());
}

VerdictFacts FactsOf(const Overview& overview, const ServerList& servers) {
  const Proxy& proxy = overview.proxy;
  VerdictFacts facts = {.why_not_ready = WhyNotReady(overview, servers),
                        .draining = overview.draining,
                        .servers = &servers,
                        .workers_stuck = proxy.hook_watch().stuck(),
                        .sessions = SumOf(proxy, &Counters::active),
                        .most_sessions = proxy.settings()->access_control.max_connections,
                        .memory = ResidentBytes().value_or(0),
                        .most_memory = proxy.settings()->access_control.max_memory,
                        .certificate_end = CertificateNotAfter(overview),
                        .has_map = overview.map != nullptr,
                        .source_faults = SourceFaults(proxy),
                        .share_fault = ShareFault(proxy),
                        .now = ::time(nullptr)};
  if (overview.older) {
    const auto& states = overview.older->states();
    facts.older = states.size();
    facts.older_sessions = overview.older->SumOf(&GenerationState::sessions);
    facts.older_silent = static_cast<size_t>(
        std::count_if(states.begin(), states.end(), [](const auto& one) { return one.silent; }));
  }
  if (overview.map) {
    const MapWatchStats& stats = overview.map->stats();
    const auto map = proxy.map();
    facts.map_loaded_at = stats.loaded_at;
    facts.map_records = map ? map->records() : 0;
    facts.map_refused = !stats.last_error.empty();
  }
  return facts;
}

}  // namespace rum
