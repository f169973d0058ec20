// The limits as they are set, how near they are, and how often they refused.
#pragma once

#include <nlohmann/json_fwd.hpp>

namespace rum {

class Proxy;

// [main] The document of /limits.
nlohmann::ordered_json LimitsJson(const Proxy& proxy);

}  // namespace rum
