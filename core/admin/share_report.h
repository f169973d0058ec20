// How limits are shared with other processes (--share), for statistics and metrics.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

namespace rum {

class Proxy;

// [main, and all below] Why limits are not shared, or not all; empty: nothing is wrong.
std::string ShareFault(const Proxy& proxy);
// The member "share" of /stats and /limits.
nlohmann::ordered_json ShareJson(const Proxy& proxy);
// Appends the rum_share_... metrics; nothing without --share.
void WriteShareMetrics(const Proxy& proxy, std::string& out);

}  // namespace rum
