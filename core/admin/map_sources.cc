#include "admin/map_sources.h"

#include <fmt/format.h>

#include <functional>
#include <iterator>
#include <nlohmann/json.hpp>

#include "admin/prometheus_servers.h"
#include "lookup/remote_map.h"
#include "proxy/proxy.h"

namespace rum {
namespace {

using State = RemoteMap::SourceState;

// Calls `visit` for each remote source.
void Each(const RemoteMap& remote,
          const std::function<void(const MapSource&, const State&)>& visit) {
  const auto states = remote.States();
  for (size_t i = 0; i < states.size(); ++i) {
    if (remote.sources()[i].remote()) visit(remote.sources()[i], states[i]);
  }
}

}  // namespace

std::vector<std::string> SourceFaults(const Proxy& proxy) {
  std::vector<std::string> faults;
  if (!proxy.remote_map()) return faults;
  Each(*proxy.remote_map(), [&](const MapSource& source, const State& state) {
    if (state.known && !state.up) faults.push_back(source.text + ": " + state.fault);
  });
  return faults;
}

std::string WhyNoSource(const Proxy& proxy) {
  if (!proxy.remote_map()) return {};
  bool answered = false;
  Each(*proxy.remote_map(),
       [&](const MapSource&, const State& state) { answered |= state.answered; });
  if (answered) return {};
  std::string why = "no source of the user map has answered yet";
  for (const std::string& fault : SourceFaults(proxy)) why += "; " + fault;
  return why;
}

void AddMapSources(const Proxy& proxy, nlohmann::ordered_json& map) {
  if (!proxy.remote_map()) return;
  const RemoteMap& remote = *proxy.remote_map();
  map["sources"] = nlohmann::ordered_json::array();
  Each(remote, [&](const MapSource& source, const State& state) {
    map["sources"].push_back({{"source", source.text},
                              {"up", state.up},
                              {"fault", state.fault},
                              {"since", state.since},
                              {"questions", state.questions},
                              {"failures", state.failures}});
  });
  const RecordCache& cache = remote.cache();
  map["cache"] = {{"entries", cache.entries()},     {"bytes", cache.bytes()},
                  {"hits", cache.hits()},           {"questions", remote.questions()},
                  {"under_way", cache.questions()}, {"stale", cache.stale()},
                  {"evicted", cache.evicted()}};
}

void WriteMapSourceMetrics(const Proxy& proxy, std::string& out) {
  if (!proxy.remote_map()) return;
  const RemoteMap& remote = *proxy.remote_map();
  auto to = std::back_inserter(out);
  auto head = [&](std::string_view name, std::string_view type, std::string_view help) {
    fmt::format_to(to, "# HELP {} {}.\n# TYPE {} {}\n", name, help, name, type);
  };
  auto by_source = [&](std::string_view name, std::string_view type, std::string_view help,
                       const std::function<uint64_t(const State&)>& value) {
    head(name, type, help);
    Each(remote, [&](const MapSource& source, const State& state) {
      fmt::format_to(to, "{}{{source=\"{}\"}} {}\n", name, EscapeLabel(source.text), value(state));
    });
  };
  auto one = [&](std::string_view name, std::string_view type, std::string_view help,
                 uint64_t value) {
    head(name, type, help);
    fmt::format_to(to, "{} {}\n", name, value);
  };
  by_source("rum_map_source_up", "gauge", "1 when the source of users on another machine answers",
            [](const State& s) { return s.up ? 1 : 0; });
  by_source("rum_map_source_questions_total", "counter", "Users that the source was asked for",
            [](const State& s) { return s.questions; });
  by_source("rum_map_source_failures_total", "counter", "Questions that the source left open",
            [](const State& s) { return s.failures; });
  const RecordCache& cache = remote.cache();
  one("rum_map_cache_hits_total", "counter", "Look-ups answered by the cache", cache.hits());
  one("rum_map_cache_entries", "gauge", "Users in the cache", cache.entries());
  one("rum_map_cache_bytes", "gauge", "Memory of the cache", cache.bytes());
  one("rum_map_cache_evicted_total", "counter", "Users that the cache dropped for lack of room",
      cache.evicted());
  one("rum_map_stale_answers_total", "counter",
      "Look-ups answered by an expired record, because its source was down", cache.stale());
  one("rum_map_questions", "gauge", "Questions to sources that are under way", cache.questions());
  constexpr std::string_view kTimes = "rum_map_source_seconds";
  head(kTimes, "histogram", "Time of a question to a source");
  uint64_t sum = 0;
  for (size_t i = 0; i < kRemoteBounds.size(); ++i) {
    sum += remote.times().bucket(i);
    fmt::format_to(to, "{}_bucket{{le=\"{}\"}} {}\n", kTimes,
                   static_cast<double>(kRemoteBounds[i]) / 1e6, sum);
  }
  sum += remote.times().bucket(kRemoteBounds.size());
  fmt::format_to(to, "{0}_bucket{{le=\"+Inf\"}} {1}\n{0}_sum {2:.6f}\n{0}_count {1}\n", kTimes, sum,
                 static_cast<double>(remote.times().micros()) / 1e6);
}

}  // namespace rum
