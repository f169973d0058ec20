#include "admin/page.h"

#include <fmt/format.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>
#include <vector>

#include "admin/merge.h"
#include "admin/page_parts.h"
#include "admin/page_style.h"
#include "admin/readiness.h"
#include "admin/servers.h"
#include "admin/totals.h"
#include "admin/verdict.h"
#include "base/units.h"
#include "limits/admission.h"
#include "proxy/login_pauses.h"
#include "proxy/proxy.h"
#include "proxy/worker.h"

namespace rum {
namespace {

constexpr size_t kUsersListed = 10;
constexpr size_t kReasonsListed = 8;
// Servers that are listed before the rest is folded: so many, and those that are not up, but no
// more than kUrgentMost.
constexpr size_t kServersListed = 20, kUrgentMost = 50;

std::string HostName() {
  char name[256] = {};
  return ::gethostname(name, sizeof name - 1) == 0 && *name ? name : "rum";
}

constexpr std::string_view kLevelClasses[] = {"good", "warn", "bad"};
std::string_view ClassOf(Verdict::Level level) { return kLevelClasses[static_cast<size_t>(level)]; }

std::string_view ClassOf(ServerState state) {
  if (state <= ServerState::kCircuitOpen) return "bad";
  return state < ServerState::kUp ? "warn" : state == ServerState::kUp ? "good" : "dim";
}

class Page {
 public:
  Page(const Overview& overview, const History& history)
      : proxy_(overview.proxy),
        older_(overview.older),
        samples_(history.samples()),
        servers_(ListServers(overview)),
        facts_(FactsOf(overview, servers_)),
        verdict_(Judge(facts_)),
        stats_(StatisticsTree(overview, {}, facts_)),
        host_(HostName()),
        now_(facts_.now) {}

  std::string Write() {
    Head();
    out_ += "<main>\n";
    Cards();
    Servers();
    out_ += "<div class=\"boxes\" id=\"boxes\" data-live>\n";
    Older();
    Users();
    Ends();
    Process();
    Map();
    out_ += "</div>\n</main>\n";
    Foot();
    return std::move(out_);
  }

 private:
  template <class... Parts>
  void Add(fmt::format_string<Parts...> format, Parts&&... parts) {
    fmt::format_to(std::back_inserter(out_), format, std::forward<Parts>(parts)...);
  }

  uint64_t Number(const char* group, const char* name) const {
    return stats_.at(group).at(name).get<uint64_t>();
  }
  std::string Ago(int64_t time) const {
    return ShowDuration(static_cast<double>(std::max<int64_t>(0, now_ - time)));
  }

  void Head() {
    const auto& rum = stats_["rum"];
    Add("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
        "<title>{}{} – rum</title>\n"
        "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n"
        "<noscript><meta http-equiv=\"refresh\" content=\"10\"></noscript>\n"
        "<style>{}</style></head><body data-host=\"{}\"><div id=\"page\">\n",
        verdict_.level == Verdict::Level::kGood ? "" : verdict_.word + " – ", Html(host_),
        kPageStyle, Html(host_));
    Add("<header id=\"head\" data-live><h1>{}</h1><span class=\"dim\">rum {} · {} · up {}</span>"
        "</header>\n",
        Html(host_), Html(rum["version"].get<std::string>()),
        Html(stats_["module"]["name"].get<std::string>()),
        ShowDuration(rum["uptime_seconds"].get<double>()));
    out_ += "<div id=\"lost\" role=\"alert\" hidden><b>no answer</b> <span></span></div>\n";
    Add("<div id=\"verdict\" class=\"{0}\" role=\"status\" data-live><b class=\"{0}\">{1}</b> "
        "<span>",
        ClassOf(verdict_.level), verdict_.word);
    for (size_t i = 0; i < verdict_.reasons.size(); ++i) {
      const auto& reason = verdict_.reasons[i];
      std::string text = Html(reason.text);
      text = reason.level == Verdict::Level::kGood ? "<span class=\"s\">" + text + "</span>"
                                                   : "<strong>" + text + "</strong>";
      Add("{}{}", i ? "<i> · </i>" : "", text);
    }
    out_ += "</span></div>\n";
  }

  // The increase per second between two samples.
  double RateAt(size_t i, uint64_t Sample::*member) const {
    const Sample &now = samples_[i], &before = samples_[i - 1];
    const double seconds = static_cast<double>(now.at - before.at) / 1000;
    return seconds > 0 ? static_cast<double>(now.*member - before.*member) / seconds : 0;
  }
  template <class Get>
  std::vector<double> Series(Get get) const {
    std::vector<double> values;
    for (size_t i = 1; i < samples_.size(); ++i) values.push_back(get(i));
    return values;
  }

  // What happens now and what happened in the last ten minutes, each on its own scale.
  void Cards() {
    out_ += "<div class=\"cards\" id=\"cards\" data-live>\n";
    const auto sessions = Series([&](size_t i) { return static_cast<double>(samples_[i].active); });
    const uint64_t active = Number("sessions", "active"), most = facts_.most_sessions;
    Card({"Sessions", Grouped(active), most ? " of " + Grouped(most) : "", sessions,
          "max " + Grouped(static_cast<uint64_t>(Most(sessions))),
          Grouped(Number("sessions", "accepted")) + " in all"});
    RateCard("Logins", &Sample::logins, Number("sessions", "logins"), false);
    const auto bytes = Series([&](size_t i) {
      return RateAt(i, &Sample::client_bytes) + RateAt(i, &Sample::upstream_bytes);
    });
    Card({"Traffic, both ways", ShowSize(bytes.empty() ? 0 : bytes.back()), "/s", bytes,
          "max " + ShowSize(Most(bytes)) + "/s",
          ShowSize(static_cast<double>(Number("bytes", "client_received") +
                                       Number("bytes", "upstream_received"))) +
              " in all"});
    RateCard("Refused", &Sample::refused, SumRefused(proxy_), true);
    RateCard("Failed logins", &Sample::login_failures, Number("limits", "login_failures"), true);
    RateCard("Failed connects", &Sample::connect_failures, Number("upstream", "connect_failures"),
             true);
    out_ += "</div>\n";
  }

  static double Most(const std::vector<double>& values) {
    return values.empty() ? 0 : *std::max_element(values.begin(), values.end());
  }

  struct CardText {
    std::string_view title;
    std::string value, unit;
    const std::vector<double>& values;
    std::string left, right;
    bool odd = false;  // zero is what an operator wants to see
  };
  void Card(const CardText& card) {
    Add("<section class=\"card{}\"><h3>{}</h3><b>{}<small>{}</small></b>{}"
        "<p><span>{} in 10 min</span><span>{}</span></p></section>\n",
        card.odd && Most(card.values) > 0 ? " odd" : "", card.title, card.value, card.unit,
        Curve(card.values, History::kSamples - 1), card.left, card.right);
  }
  void RateCard(std::string_view title, uint64_t Sample::*member, uint64_t all, bool odd) {
    const auto values = Series([&](size_t i) { return RateAt(i, member); });
    Card({title, PerSecond(values.empty() ? 0 : values.back()), "/s", values,
          "max " + PerSecond(Most(values)) + "/s", Grouped(all) + " in all", odd});
  }

  void Servers() {
    const size_t urgent = static_cast<size_t>(
        std::count_if(servers_.servers.begin(), servers_.servers.end(),
                      [](const ServerView& server) { return !server.usable(); }));
    const size_t shown =
        std::min(servers_.servers.size(), std::max(kServersListed, std::min(urgent, kUrgentMost)));
    out_ += "<section class=\"box\"><div class=\"bar\"><h2 id=\"counts\" data-live>Servers";
    Counts();
    out_ +=
        "</h2><input id=\"filter\" type=\"search\" placeholder=\"filter: address, state, …\" "
        "aria-label=\"filter the servers\" autocomplete=\"off\" hidden></div>\n"
        "<input type=\"checkbox\" class=\"toggle\" id=\"more\">"
        "<table id=\"server-table\"><thead><tr><th>address<th>state<th class=\"n\">sessions"
        "<th class=\"n\">since<th class=\"n\">check time<th>what</thead>"
        "<tbody id=\"servers\" data-live>\n";
    for (size_t i = 0; i < servers_.servers.size(); ++i) Row(servers_.servers[i], i >= shown);
    out_ += "</tbody></table>\n<p id=\"none\" class=\"dim\" hidden>No server matches.</p>\n";
    Rest(servers_.servers.size() - shown);
    out_ += "</section>\n";
  }

  void Counts() {
    Add(" <span>{}</span>", Grouped(servers_.known));
    for (size_t i = 0; i < kServerStates; ++i) {
      const auto state = static_cast<ServerState>(i);
      if (const size_t count = servers_.count(state)) {
        Add(" <span class=\"{}\">{} {}</span>", ClassOf(state), Grouped(count),
            ServerStateWord(state));
      }
    }
  }

  void Rest(size_t folded) {
    Add("<p class=\"rest\" id=\"rest\" data-live>");
    if (folded) {
      Add("<label for=\"more\"><span class=\"closed\">and {} more</span>"
          "<span class=\"open\">show fewer</span></label> ",
          Grouped(folded));
    }
    if (servers_.known > servers_.servers.size()) {
      Add("<span class=\"dim\">{} of {} servers are listed</span>",
          Grouped(servers_.servers.size()), Grouped(servers_.known));
    }
    if (servers_.known == 0) out_ += "<span class=\"dim\">No server is in use yet.</span>";
    out_ += "</p>\n";
  }

  void Row(const ServerView& server, bool folded) {
    const bool usable = server.usable();
    const std::string address = Html(server.address);
    const int64_t since = server.check ? server.check->since : 0;
    const bool timed = server.check && server.check->micros;
    Add("<tr class=\"{}{}\"><td class=\"name\" title=\"{}\">{}<td class=\"s {}\">{}"
        "<td class=\"n\" data-head=\"sessions\">{}<td class=\"n since\" data-head=\"since\">{}"
        "<td class=\"n\" data-head=\"check\">{}<td class=\"what\">{}\n",
        usable ? "" : ClassOf(server.state), folded ? " more" : "", address, address,
        ClassOf(server.state), ServerStateWord(server.state), Grouped(server.sessions),
        since ? Ago(since) : "",
        timed ? ShowDuration(static_cast<double>(server.check->micros) / 1e6) : "",
        Html(What(server)));
  }

  static std::string What(const ServerView& server) {
    if (server.state == ServerState::kMaint || server.state == ServerState::kDrain) {
      return "by an operator";
    }
    if (server.state == ServerState::kDown) {
      return std::string(CloseReasonWord(server.check->reason)) + " " + server.check->text;
    }
    std::string what;
    if (server.refused && server.refused->open) {
      what = CloseReasonWord(server.refused->reason);
      if (server.state == ServerState::kCircuitOpen) {
        what += "; half-open in " +
                ShowDuration(std::ceil(static_cast<double>(server.refused->milliseconds) / 1000));
      }
    }
    if (!server.check) return what;
    for (const auto& [name, value] : server.check->notes) {
      what += (what.empty() ? "" : " · ") + name + " " + value;
    }
    return what;
  }

  void Box(std::string_view title) { Add("<section class=\"box\"><h2>{}</h2>\n<table>\n", title); }
  void EndBox() { out_ += "</table></section>\n"; }
  void Line(std::string_view name, std::string_view value, bool dim = false) {
    const std::string text = Html(name);
    Add("<tr><td class=\"name{}\" title=\"{}\">{}<td class=\"n\">{}\n", dim ? " dim" : "", text,
        text, value);
  }
  void Trouble(std::string_view text) {
    Add("<tr><td class=\"bad wide\" colspan=\"2\">{}\n", Html(text));
  }

  void Older() {
    const auto& generations = stats_["generations"];
    if (generations.empty()) return;
    Box("Processes from before a hand-over");
    for (const auto& one : generations) {
      const std::string pid = one["pid"].dump();
      if (one["state"] == "no answer") Trouble("process " + pid + " does not answer");
      Line(pid + ", draining " + Ago(one["since"].get<int64_t>()),
           Grouped(one["sessions"].get<uint64_t>()) + " sessions");
    }
    EndBox();
  }

  void Users() {
    Box("Users with the most sessions");
    for (const auto& [user, sessions] :
         TopUsers(proxy_.admission().users(), older_, kUsersListed)) {
      Line(user, Grouped(sessions));
    }
    Line("all users with sessions", Grouped(Number("limits", "users")), true);
    for (const LoginPauses::Entry& pause : proxy_.pauses().List()) {
      Line("paused: " + Describe(pause.kind, pause.name), Grouped(pause.held) + " wait");
    }
    if (proxy_.share()) {
      Line("processes that share limits", Grouped(Number("share", "processes") + 1), true);
    }
    EndBox();
  }

  void Ends() {
    Box("How sessions ended");
    std::vector<std::pair<uint64_t, std::string>> reasons;
    for (const auto& [reason, count] : stats_["sessions"]["ended"].items()) {
      if (count.get<uint64_t>()) reasons.emplace_back(count.get<uint64_t>(), reason);
    }
    std::stable_sort(reasons.begin(), reasons.end(),
                     [](const auto& a, const auto& b) { return a.first > b.first; });
    uint64_t others = 0;
    for (size_t i = 0; i < reasons.size(); ++i) {
      if (i < kReasonsListed) {
        Line(reasons[i].second, Grouped(reasons[i].first));
      } else {
        others += reasons[i].first;
      }
    }
    if (others) Line("other reasons", Grouped(others));
    Line("not accepted", Grouped(Number("sessions", "refused")), true);
    EndBox();
  }

  void Process() {
    Box("Listeners and workers");
    for (const auto& one : stats_["listeners"]) {
      Add("<tr><td class=\"wide\" colspan=\"2\">{}\n", Html(one["address"].get<std::string>()));
    }
    uint32_t least = UINT32_MAX, most = 0;
    for (const auto& worker : proxy_.workers()) {
      const uint32_t load = worker->load.load(std::memory_order_relaxed);
      least = std::min(least, load);
      most = std::max(most, load);
      if (!worker->stuck) continue;
      Trouble(fmt::format("worker {} is stuck in the module: {}", worker->index(),
                          HookName(worker->hook_place.Look().hook)));
    }
    Line("workers", Grouped(proxy_.workers().size()), true);
    Line("per worker", least == most ? Grouped(most) : Grouped(least) + " to " + Grouped(most),
         true);
    Line("memory", ShowSize(static_cast<double>(facts_.memory)), true);
    Line("addresses blocked", Grouped(Number("limits", "blocked_addresses")), true);
    EndBox();
  }

  void Map() {
    const auto& map = stats_["map"];
    Box("User map");
    if (!map["configured"].get<bool>()) {
      out_ += "<tr><td class=\"dim\" colspan=\"2\">no map (-M)\n";
      return EndBox();
    }
    const std::string error = map["last_error"].get<std::string>();
    if (!error.empty()) Trouble(error);
    const std::string journal_error = map["journal_error"].get<std::string>();
    if (!journal_error.empty()) Trouble(journal_error);
    if (facts_.has_map) MapOfFile(map);
    if (map.contains("cache")) {
      for (const auto& source : map["sources"]) {
        Line(source["source"].get<std::string>(), source["up"].get<bool>() ? "up" : "down", true);
      }
      const auto& cache = map["cache"];
      Line("users cached", Grouped(cache["entries"].get<uint64_t>()), true);
      Line("answered by the cache", Grouped(cache["hits"].get<uint64_t>()), true);
    }
    Line("lookups", Grouped(map["lookups"].get<uint64_t>()), true);
    Line("unknown users", Grouped(map["misses"].get<uint64_t>()), true);
    EndBox();
  }

  void MapOfFile(const nlohmann::ordered_json& map) {
    Line("records", Grouped(map["records"].get<uint64_t>()), true);
    Line("size", ShowSize(static_cast<double>(map["bytes"].get<uint64_t>())), true);
    Line("loaded", facts_.map_loaded_at ? Ago(facts_.map_loaded_at) + " ago" : "never", true);
    Line("changed users", Grouped(map["changes"].get<uint64_t>()), true);
  }

  void Foot() {
    char time[32] = {};
    tm utc;
    ::gmtime_r(&now_, &utc);
    ::strftime(time, sizeof time, "%Y-%m-%d %H:%M:%S UTC", &utc);
    Add("<footer><span><a href=\"/stats\">/stats</a> (JSON) · <a href=\"/sessions\">/sessions</a> "
        "(?user=, ?ip=, ?destination=, ?limit=) · <a href=\"/metrics\">/metrics</a> (Prometheus)"
        "</span><span id=\"time\" data-live>{}</span></footer>\n</div><script>{}</script>"
        "</body></html>\n",
        time, kPageScript);
  }

  const Proxy& proxy_;
  const Generations* const older_;
  const std::deque<Sample>& samples_;
  const ServerList servers_;
  const VerdictFacts facts_;
  const Verdict verdict_;
  const nlohmann::ordered_json stats_;
  const std::string host_;
  const time_t now_;
  std::string out_;
};

}  // namespace

std::string StatusPage(const Overview& overview, const History& history) {
  return Page(overview, history).Write();
}

}  // namespace rum
