// The limits: configured value, current use and number of refusals.
#pragma once

#include <nlohmann/json_fwd.hpp>

namespace rum {

class Proxy;

// [main] The JSON document of /limits.
nlohmann::ordered_json LimitsJson(const Proxy& proxy);

}  // namespace rum
