// What is told over HTTP: the workers' counters summed up, as JSON and in Prometheus' text form.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>

namespace rum {

class MapWatcher;
class Proxy;

// What a look at the process needs; `map` may be null (no -M).
struct Overview {
  Proxy& proxy;
  const MapWatcher* map;
  uint64_t started;  // monotonic ms
  bool draining;
};

// [main] An empty string when clients can be served, else why not.
std::string WhyNotReady(const Overview& overview);
// [main] What is told, as a tree.
nlohmann::ordered_json StatisticsTree(const Overview& overview);
// [main] The documents of /stats and /metrics. Their fields are in rum(8).
std::string StatisticsJson(const Overview& overview);
std::string StatisticsPrometheus(const Overview& overview);

}  // namespace rum
