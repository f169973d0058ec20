// The sources of -M on other machines, for statistics, readiness and the verdict. [main]
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace rum {

class Proxy;

// "redis://...: why", for each source that is down or answers only in part.
std::vector<std::string> SourceFaults(const Proxy& proxy);

// Why nobody can be looked up: no source has answered since the start; empty: one has, or there are
// no remote sources.
std::string WhyNoSource(const Proxy& proxy);

// Adds the members "sources" and "cache"; nothing if there are no remote sources.
void AddMapSources(const Proxy& proxy, nlohmann::ordered_json& map);
void WriteMapSourceMetrics(const Proxy& proxy, std::string& out);

}  // namespace rum
