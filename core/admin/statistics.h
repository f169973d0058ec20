// The statistics: the workers' counters added up, as JSON and in Prometheus' text format.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace rum {

class Explainer;
class Generations;
class GeoWatcher;
class MapWatcher;
class Prober;
class Proxy;
struct ServerList;
struct TlsContexts;
struct VerdictFacts;

// The parts of the process that statistics read. `map` is null without -M; `tls` and its members
// may be null, and so may the map if all its sources are on other machines.
struct Overview {
  Proxy& proxy;
  const Prober& prober;
  Explainer& explainer;
  const MapWatcher* map;
  uint64_t started;  // monotonic ms
  bool draining;
  const TlsContexts* tls = nullptr;
  const GeoWatcher* geo = nullptr;
  Generations* older = nullptr;                                // nullptr: none
  const std::vector<std::string>* map_destinations = nullptr;  // servers of records
  bool handing_over = false;  // a new process starts, with what was in force then
  bool starting = false;      // nobody serves the listeners: neither this process nor one before it
};

// [main] Expiry of the certificate shown to clients, in seconds since 1970; 0: no certificate.
int64_t CertificateNotAfter(const Overview& overview);

// [main] The statistics as a JSON tree, which lists these servers.
nlohmann::ordered_json StatisticsTree(const Overview& overview, const ServerList& servers,
                                      const VerdictFacts& facts);
// [main] The documents of /stats and /metrics; rum(8) describes their fields.
std::string StatisticsJson(const Overview& overview);
std::string StatisticsPrometheus(const Overview& overview);

}  // namespace rum
