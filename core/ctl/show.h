// What rumctl prints of the answers of rum, safe for a terminal.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "base/result.h"

namespace rum {

using Json = nlohmann::ordered_json;

// A value of an answer, without what could change the terminal: names are untrusted.
std::string Shown(const Json& value);

// "serving", "degraded", "draining" or "down", as on the status page.
std::string VerdictWord(const Json& stats);

// One for each command. They throw Json::exception if the answer lacks a field.
std::string ShowStatus(const Json& stats);
std::string ShowDestinations(const Json& stats);
std::string ShowMap(const Json& stats);
std::string ShowUsers(const Json& users);
std::string ShowLimits(const Json& limits);
std::string ShowSessions(const Json& sessions);
std::string ShowExplained(const Json& answer);
std::string ShowKilled(const Json& answer);
std::string ShowDone(const Json& answer);

// Formats an answer. One of another version, or of another program, may lack any field.
Result<std::string> Show(std::string (*show)(const Json&), const std::string& answer, Json* tree);

}  // namespace rum
