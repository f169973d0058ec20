// Joins the lists and answers of this process with those of the older ones, which are parsed
// without trust: what is not as expected is left out.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "admin/generations.h"
#include "base/result.h"
#include "limits/user_limits.h"

namespace rum {

// Reads /stats of an older process into `state`; what is missing becomes 0.
void ReadStatistics(const nlohmann::json& stats, GenerationState& state);
// Reads its /users.
std::map<std::string, uint64_t> ReadUsers(const nlohmann::json& users);

// Of /sessions and /kill: adds entries with "process" to `own`, at most `most` of all, by id, and
// their numbers. Those that have not answered are listed in "no_answer".
void MergeSessions(nlohmann::ordered_json& own, const Generations::Answers& answers, size_t most);
// Of /users?since=: `own` has "samples" and "users". An older process has samples of more time.
void MergeHistory(nlohmann::ordered_json& own, const Generations::Answers& answers, size_t most);
// The users with the most sessions in all processes, and how many users there are. `older` may be
// nullptr, here and below.
std::vector<std::pair<std::string, uint64_t>> TopUsers(const NamedLimiter& own,
                                                       const Generations* older, size_t most);
uint64_t CountUsers(const NamedLimiter& own, const Generations* older);

// Of /sessions for a user: a sentence for each process that has some, or does not answer.
std::vector<std::string> ExplainOlder(const Generations::Answers& answers);

// The end of what a command has done in all processes: ", also in process 7"; empty: in none. An
// error if one has not answered, or refused it, unless that only says that there was nothing to do.
enum class Refusals : uint8_t { kErrors, kNothingToDo };
Result<std::string> AlsoDone(const Generations::Answers& answers,
                             Refusals refusals = Refusals::kErrors);

}  // namespace rum
