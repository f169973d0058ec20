#include "admin/merge.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

namespace rum {
namespace {

using Json = nlohmann::json;
using Ordered = nlohmann::ordered_json;

// Sums stay exact in JSON, and never overflow.
constexpr uint64_t kNumberMost = uint64_t{1} << 52;
constexpr size_t kVersionMost = 40;  // bytes

// nullptr if there is no such member.
const Json* Member(const Json& json, const char* name) {
  if (!json.is_object()) return nullptr;
  auto found = json.find(name);
  return found == json.end() ? nullptr : &*found;
}

uint64_t Number(const Json* json) {
  return json && json->is_number_unsigned() ? std::min(json->get<uint64_t>(), kNumberMost) : 0;
}
uint64_t Number(const Json& json, const char* name) { return Number(Member(json, name)); }

double Real(const Json& json, const char* name) {
  const Json* member = Member(json, name);
  const double number = member && member->is_number() ? member->get<double>() : 0;
  return std::isfinite(number) ? std::clamp(number, 0.0, 1e15) : 0;
}

std::string Text(const Json& json, const char* name) {
  const Json* member = Member(json, name);
  return member && member->is_string() ? member->get<std::string>() : std::string();
}

// Of a list of objects: the numbers by name.
std::map<std::string, uint64_t> ReadNames(const Json* list, const char* name) {
  std::map<std::string, uint64_t> numbers;
  if (!list || !list->is_array()) return numbers;
  for (const Json& one : *list) {
    if (numbers.size() == Generations::kNamesMost) break;
    std::string key = Text(one, name);
    const uint64_t sessions = Number(one, "sessions");
    if (!key.empty() && sessions) numbers[std::move(key)] = sessions;
  }
  return numbers;
}

// An entry of /sessions with the members that are expected; null: it lacks one.
Ordered SessionOf(const Json& json, pid_t pid) {
  const Json* id = Member(json, "id");
  if (!id || !id->is_number_unsigned()) return nullptr;
  Ordered one = {{"id", Number(id)}};
  for (const char* name : {"client", "listener", "state"}) one[name] = Text(json, name);
  one["seconds"] = Real(json, "seconds");
  for (const char* name : {"received", "sent"}) one[name] = Number(json, name);
  for (const char* name : {"user", "destination"}) {
    if (Member(json, name)) one[name] = Text(json, name);
  }
  one["process"] = pid;
  return one;
}

std::map<std::string, uint64_t> UsersOf(const Generations* older) {
  std::map<std::string, uint64_t> users;
  if (!older) return users;
  for (const GenerationState& state : older->states()) {
    for (const auto& [user, sessions] : state.users) users[user] += sessions;
  }
  return users;
}

}  // namespace

void ReadStatistics(const Json& stats, GenerationState& state) {
  if (const Json* rum = Member(stats, "rum")) {
    state.version = Text(*rum, "version").substr(0, kVersionMost);
    state.uptime_seconds = Number(*rum, "uptime_seconds");
  }
  const Json* sessions = Member(stats, "sessions");
  state.sessions = sessions ? Number(*sessions, "active") : 0;
  state.relaying = sessions ? Number(*sessions, "relaying") : 0;
  state.connecting = sessions ? Number(*sessions, "connecting") : 0;
  state.servers = ReadNames(Member(stats, "destinations"), "address");
}

std::map<std::string, uint64_t> ReadUsers(const Json& users) {
  return ReadNames(Member(users, "users"), "user");
}

void MergeSessions(Ordered& own, const Generations::Answers& answers, size_t most) {
  if (answers.empty()) return;
  auto sessions = std::move(own["sessions"].get_ref<Ordered::array_t&>());
  uint64_t matched = own["matched"].get<uint64_t>();
  for (const GenerationAnswer& answer : answers) {
    const Json* list = answer.status == 200 ? Member(answer.json, "sessions") : nullptr;
    if (!list || !list->is_array()) {
      own["no_answer"].push_back(answer.pid);
      continue;
    }
    matched += Number(answer.json, "matched");
    for (size_t i = 0; i < std::min(list->size(), most); ++i) {
      if (Ordered one = SessionOf((*list)[i], answer.pid); !one.is_null()) {
        sessions.push_back(std::move(one));
      }
    }
  }
  std::sort(sessions.begin(), sessions.end(), [](const Ordered& a, const Ordered& b) {
    return a.at("id").get<uint64_t>() < b.at("id").get<uint64_t>();
  });
  sessions.resize(std::min(sessions.size(), most));
  own["sessions"] = std::move(sessions);
  own["matched"] = matched;
}

void MergeHistory(Ordered& own, const Generations::Answers& answers, size_t most) {
  struct Entry {
    double sum = 0;  // of the sessions in all samples
    uint64_t most = 0;
  };
  std::map<std::string, Entry> users;
  uint64_t samples = 0;
  auto add = [&](const Json& json) {
    const uint64_t number = Number(json, "samples");
    samples = std::max(samples, number);
    const Json* list = Member(json, "users");
    if (!list || !list->is_array()) return;
    for (size_t i = 0; i < std::min(list->size(), Generations::kNamesMost); ++i) {
      Entry& entry = users[Text((*list)[i], "user")];
      entry.sum += Real((*list)[i], "sessions_mean") * static_cast<double>(number);
      entry.most = std::max(entry.most, Number((*list)[i], "sessions_most"));
    }
  };
  if (answers.empty()) return;
  add(Json(own));
  for (const GenerationAnswer& answer : answers) {
    if (answer.status == 200) {
      add(answer.json);
    } else {
      own["no_answer"].push_back(answer.pid);
    }
  }
  std::vector<std::pair<std::string, Entry>> sorted(users.begin(), users.end());
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const auto& a, const auto& b) { return a.second.sum > b.second.sum; });
  sorted.resize(std::min(sorted.size(), most));
  own["samples"] = samples;
  own["users"] = Ordered::array();
  for (const auto& [user, entry] : sorted) {
    own["users"].push_back(
        {{"user", user},
         {"sessions_mean", entry.sum / static_cast<double>(std::max<uint64_t>(samples, 1))},
         {"sessions_most", entry.most}});
  }
}

std::vector<std::pair<std::string, uint64_t>> TopUsers(const NamedLimiter& own,
                                                       const Generations* older, size_t most) {
  std::map<std::string, uint64_t> users = UsersOf(older);
  for (auto& [user, sessions] : users) sessions += own.Sessions(user);
  for (const auto& [user, sessions] : own.Top(most)) users.emplace(user, sessions);
  std::vector<std::pair<std::string, uint64_t>> top(users.begin(), users.end());
  std::stable_sort(top.begin(), top.end(),
                   [](const auto& a, const auto& b) { return a.second > b.second; });
  top.resize(std::min(top.size(), most));
  return top;
}

uint64_t CountUsers(const NamedLimiter& own, const Generations* older) {
  uint64_t users = own.active();
  for (const auto& [user, sessions] : UsersOf(older)) users += own.Sessions(user) == 0;
  return users;
}

std::vector<std::string> ExplainOlder(const Generations::Answers& answers) {
  std::vector<std::string> lines;
  for (const GenerationAnswer& answer : answers) {
    const uint64_t sessions = Number(answer.json, "matched");
    if (answer.status != 200) {
      lines.push_back(fmt::format("process {} does not answer", answer.pid));
    } else if (sessions) {
      lines.push_back(
          fmt::format("process {} still has {} session{} of the user, beside the limits above",
                      answer.pid, sessions, sessions == 1 ? "" : "s"));
    }
  }
  return lines;
}

Result<std::string> AlsoDone(const Generations::Answers& answers, Refusals refusals) {
  std::string done, failed;
  for (const GenerationAnswer& answer : answers) {
    if (answer.status == 200) {
      done += fmt::format("{} {}", done.empty() ? "; also in process" : ",", answer.pid);
    } else if (answer.status == 400 && refusals == Refusals::kNothingToDo) {
      continue;
    } else if (answer.status) {
      failed += fmt::format("; process {} refuses: {}", answer.pid, Text(answer.json, "error"));
    } else {
      failed += fmt::format("; process {} does not answer", answer.pid);
    }
  }
  if (failed.empty()) return done;
  return Error{Fault::kSystem, done + failed};
}

}  // namespace rum
