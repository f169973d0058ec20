// What is told over HTTP: the workers' counters summed up, as JSON and in Prometheus' text form.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>

namespace rum {

class Explainer;
class MapWatcher;
class Prober;
class Proxy;
struct TlsContexts;

// What a look at the process needs; `map` may be null (no -M), and so may `tls` and what is in it.
struct Overview {
  Proxy& proxy;
  const Prober& prober;
  Explainer& explainer;
  const MapWatcher* map;
  uint64_t started;  // monotonic ms
  bool draining;
  const TlsContexts* tls = nullptr;
};

// [main] When the certificate that clients are shown expires, in seconds since 1970; 0: there is
// none.
int64_t CertificateNotAfter(const Overview& overview);

// [main] An empty string when clients can be served, else why not.
std::string WhyNotReady(const Overview& overview);
// [main] What is told, as a tree.
nlohmann::ordered_json StatisticsTree(const Overview& overview);
// [main] The documents of /stats and /metrics. Their fields are in rum(8).
std::string StatisticsJson(const Overview& overview);
std::string StatisticsPrometheus(const Overview& overview);

}  // namespace rum
