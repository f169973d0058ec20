#include "ctl/show.h"

#include <algorithm>
#include <cstdio>
#include <vector>

#include "base/escape.h"
#include "base/units.h"

namespace rum {
namespace {

// Pads each column to its longest cell.
std::string Table(std::vector<std::vector<std::string>> rows) {
  std::vector<size_t> width;
  for (const auto& row : rows) {
    width.resize(std::max(width.size(), row.size()));
    for (size_t i = 0; i < row.size(); ++i) width[i] = std::max(width[i], row[i].size());
  }
  std::string out;
  for (const auto& row : rows) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) {
      line += row[i];
      if (i + 1 < row.size()) line.append(width[i] - row[i].size() + 2, ' ');
    }
    out += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
  }
  return out;
}

// "degraded: 1 of 4 servers is down, 1 in drain".
std::string State(const Json& s) {
  std::string text = VerdictWord(s);
  if (!s.contains("verdict")) return text;
  const char* separator = ": ";
  for (const Json& reason : s.at("verdict").at("reasons")) {
    text += separator + Shown(reason);
    separator = ", ";
  }
  return text;
}

// "3 up, 1 down, 0 unknown"; "2, not checked" if there are no health checks.
std::string Servers(const Json& s) {
  const Json& checks = s.at("health_checks");
  const Json known = s.contains("servers") ? s.at("servers").at("known") : Json(0);
  if (checks.at("up") == 0 && checks.at("down") == 0 && checks.at("unknown") == 0 && known != 0) {
    return Shown(known) + ", not checked";
  }
  return Shown(checks.at("up")) + " up, " + Shown(checks.at("down")) + " down, " +
         Shown(checks.at("unknown")) + " unknown";
}

// A line for each process that has not answered the one that was asked.
std::string Silent(const Json& s) {
  std::string lines;
  if (!s.contains("no_answer")) return lines;
  for (const Json& pid : s.at("no_answer")) {
    lines += "process " + Shown(pid) + " does not answer, its sessions are missing\n";
  }
  return lines;
}

// What --share does, if it is given.
std::string Sharing(const Json& share) {
  if (!share.value("configured", false)) return {};
  const std::string fault = Shown(share.at("fault"));
  return "shared with " + Shown(share.at("processes")) + " other processes, " +
         ShowDuration(share.at("age_seconds").get<double>()) + " ago" +
         (fault.empty() ? "" : ": " + fault) + "\n";
}

}  // namespace

std::string VerdictWord(const Json& stats) {
  if (stats.contains("verdict")) return Shown(stats.at("verdict").at("word"));
  const Json& rum = stats.at("rum");  // of a version without a verdict
  if (rum.at("draining").get<bool>()) return "draining";
  return rum.at("ready").get<bool>() ? "serving" : "down";
}

std::string Shown(const Json& value) {
  if (!value.is_string()) return value.is_null() ? "" : value.dump();
  std::string out;
  AppendPrintable(out, value.get<std::string>());
  return out;
}

namespace {

// "user alice, 3 logins wait, 12.0s left"
void AddPauses(const Json& s, std::vector<std::vector<std::string>>* rows) {
  if (!s.contains("pauses")) return;  // of an older version
  for (const Json& one : s.at("pauses").at("list")) {
    const char* kind = one.contains("user") ? "user" : "server";
    rows->push_back({"paused", kind + (" " + Shown(one.at(kind))) + ", " + Shown(one.at("held")) +
                                   " logins wait, " +
                                   ShowDuration(one.at("seconds").get<double>()) + " left"});
  }
}

}  // namespace

std::string ShowStatus(const Json& s) {
  const Json& sessions = s.at("sessions");
  std::vector<std::vector<std::string>> rows = {
      {"rum", Shown(s.at("rum").at("version")) + ", process " + Shown(s.at("rum").at("pid"))},
      {"state", State(s)},
      {"ready", s.at("rum").at("ready").get<bool>() ? "yes" : "no"},
      {"up", ShowDuration(s.at("rum").at("uptime_seconds").get<double>())},
      {"module", Shown(s.at("module").at("name"))},
      {"workers",
       Shown(s.at("rum").at("workers")) + ", " + Shown(s.at("rum").at("workers_stuck")) + " stuck"},
      {"sessions", Shown(sessions.at("active")) + " now, " + Shown(sessions.at("relaying")) +
                       " logged in, " + Shown(sessions.at("connecting")) + " connecting, " +
                       Shown(sessions.at("accepted")) + " since the start"},
      {"logins",
       Shown(sessions.at("logins")) + ", failed " + Shown(s.at("limits").at("login_failures"))},
      {"servers", Servers(s)},
      {"users", Shown(s.at("limits").at("users")) + " with sessions, " +
                    Shown(s.at("limits").at("blocked_addresses")) + " addresses blocked"}};
  for (const Json& one : s.value("generations", Json::array())) {
    rows.push_back({"older", "process " + Shown(one.at("pid")) + ", rum " +
                                 Shown(one.at("version")) + ", " + Shown(one.at("state")) + ", " +
                                 Shown(one.at("sessions")) + " sessions, up " +
                                 ShowDuration(one.at("uptime_seconds").get<double>())});
  }
  AddPauses(s, &rows);
  return Table(std::move(rows));
}

std::string ShowDestinations(const Json& s) {
  std::vector<std::vector<std::string>> rows = {
      {"ADDRESS", "SESSIONS", "STATE", "CHECK TIME", "WHAT"}};
  for (const Json& one : s.at("destinations")) {
    std::string state = Shown(one.at("state")), what;
    if (one.contains("circuit")) {
      const std::string circuit = Shown(one.at("circuit"));
      state = "circuit " + circuit;
      what = Shown(one.at("circuit_reason"));
      if (circuit == "open") {
        what += ", half-open in " + ShowDuration(one.at("circuit_seconds").get<double>());
      }
    }
    if (one.contains("admin")) state = Shown(one.at("admin"));
    if (what.empty() && one.contains("reason")) {
      what = Shown(one.at("reason")) + " " + Shown(one.at("detail"));
    } else if (what.empty() && one.contains("notes") && one.at("notes").contains("version")) {
      what = Shown(one.at("notes").at("version"));
    }
    rows.push_back(
        {Shown(one.at("address")), Shown(one.at("sessions")), state,
         one.contains("check_seconds") ? ShowDuration(one.at("check_seconds").get<double>()) : "-",
         what});
  }
  return Table(rows);
}

std::string ShowUsers(const Json& s) {
  const bool over_time = s.contains("samples");
  const bool shared = std::any_of(s.at("users").begin(), s.at("users").end(),
                                  [](const Json& one) { return one.contains("elsewhere"); });
  std::vector<std::vector<std::string>> rows = {{"USER", "SESSIONS"}};
  if (shared) rows[0].push_back("ELSEWHERE");
  if (over_time) rows = {{"USER", "MEAN", "MOST"}};
  for (const Json& one : s.at("users")) {
    if (!over_time) {
      rows.push_back({Shown(one.at("user")), Shown(one.at("sessions"))});
      if (shared) rows.back().push_back(Shown(one.value("elsewhere", Json(0))));
      continue;
    }
    char mean[32];
    std::snprintf(mean, sizeof mean, "%.1f", one.at("sessions_mean").get<double>());
    rows.push_back({Shown(one.at("user")), mean, Shown(one.at("sessions_most"))});
  }
  return Table(rows) + Shown(s.at("active")) +
         (s.at("active") == 1 ? " user in all\n" : " users in all\n") +
         (over_time ? "sessions of " + Shown(s.at("samples")) + " samples, one a minute\n" : "") +
         Silent(s);
}

std::string ShowLimits(const Json& s) {
  std::vector<std::vector<std::string>> rows = {{"LIMIT", "VALUE", "NOW", "REFUSED"}};
  for (const Json& one : s.at("limits")) {
    const std::string name = Shown(one.at("name"));
    std::string now = "-";
    if (one.contains("now")) {
      now = name == "max-memory" ? ShowSizeBriefly(one.at("now").get<double>())
                                 : Shown(one.at("now"));
    }
    rows.push_back({name, Shown(one.at("value")), now,
                    one.contains("refused") ? Shown(one.at("refused")) : "-"});
  }
  return Table(rows) + Sharing(s.value("share", Json::object()));
}

std::string ShowExplained(const Json& s) {
  std::vector<std::vector<std::string>> rows;
  for (const Json& line : s.at("lines")) rows.push_back({Shown(line.at(0)), Shown(line.at(1))});
  return Table(rows);
}

std::string ShowMap(const Json& s) {
  const Json& map = s.at("map");
  if (!map.at("configured").get<bool>()) return "there is no user map\n";
  std::vector<std::vector<std::string>> rows;
  const bool file = !map.contains("sources") || map.at("loads").get<uint64_t>() > 0 ||
                    !map.at("last_error").get<std::string>().empty();
  if (file) {
    rows = {{"records", Shown(map.at("records"))},
            {"size", ShowSize(map.at("bytes").get<double>())},
            {"loads", Shown(map.at("loads")) + ", refused " + Shown(map.at("load_failures"))}};
  }
  rows.push_back({"look-ups", Shown(map.at("lookups")) + ", misses " + Shown(map.at("misses"))});
  auto or_none = [](const Json& error) { return error == "" ? "none" : Shown(error); };
  if (file) rows.push_back({"last error", or_none(map.at("last_error"))});
  if (file && map.contains("changes")) {  // not of an older version
    rows.push_back({"journal", "changes of " + Shown(map.at("changes")) + " users"});
    rows.push_back({"journal error", or_none(map.at("journal_error"))});
  }
  if (!map.contains("sources")) return Table(rows);
  for (const Json& source : map.at("sources")) {
    const std::string fault = Shown(source.at("fault"));
    rows.push_back({source.at("up").get<bool>() ? "up" : "down",
                    Shown(source.at("source")) + (fault.empty() ? "" : ": " + fault)});
  }
  const Json& cache = map.at("cache");
  rows.push_back({"cache", Shown(cache.at("entries")) + " users, " +
                               ShowSize(cache.at("bytes").get<double>()) + ", " +
                               Shown(cache.at("hits")) + " answers, " + Shown(cache.at("stale")) +
                               " stale"});
  return Table(rows);
}

std::string ShowSessions(const Json& s) {
  std::vector<std::vector<std::string>> rows = {
      {"ID", "CLIENT", "USER", "DESTINATION", "STATE", "AGE", "RECEIVED", "SENT"}};
  const auto& list = s.at("sessions");
  const bool older = std::any_of(list.begin(), list.end(),
                                 [](const Json& one) { return one.contains("process"); });
  if (older) rows[0].push_back("PROCESS");
  for (const Json& one : list) {
    rows.push_back({Shown(one.at("id")), Shown(one.at("client")),
                    one.contains("user") ? Shown(one.at("user")) : "-",
                    one.contains("destination") ? Shown(one.at("destination")) : "-",
                    Shown(one.at("state")), ShowDuration(one.at("seconds").get<double>()),
                    ShowSizeBriefly(one.at("received").get<double>()),
                    ShowSizeBriefly(one.at("sent").get<double>())});
    if (one.contains("process")) rows.back().push_back(Shown(one.at("process")));
  }
  std::string more = s.at("matched").get<size_t>() > s.at("sessions").size()
                         ? "and more: " + Shown(s.at("matched")) + " in all\n"
                         : "";
  return Table(rows) + more + Silent(s);
}

std::string ShowKilled(const Json& s) { return Shown(s.at("matched")) + " ended\n" + Silent(s); }
std::string ShowDone(const Json& s) { return Shown(s.at("done")) + "\n"; }

Result<std::string> Show(std::string (*show)(const Json&), const std::string& answer, Json* tree) {
  try {
    *tree = Json::parse(answer);
    return show(*tree);
  } catch (const Json::exception& e) {
    return Error{
        Fault::kSystem,
        std::string("unexpected answer, perhaps from another version of rum: ") + e.what()};
  }
}

}  // namespace rum
