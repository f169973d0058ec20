#include "admin/page.h"

#include <fmt/format.h>
#include <time.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string_view>
#include <vector>

#include "base/escape.h"
#include "limits/admission.h"
#include "proxy/proxy.h"
#include "proxy/worker.h"
#include "settings/settings.h"

namespace rum {
namespace {

constexpr size_t kUsersListed = 10;

constexpr std::string_view kHead = R"(<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>rum</title>
<meta name="viewport" content="width=device-width">
<noscript><meta http-equiv="refresh" content="10"></noscript>
<style>
:root{color-scheme:light dark;--line:#8884;--dim:#777;--good:#188038;--bad:#c5221f;--ink:#1a73e8}
@media(prefers-color-scheme:dark){:root{--dim:#999;--good:#5bb974;--bad:#f28b82;--ink:#8ab4f8}}
body{font:15px/1.45 system-ui,sans-serif;margin:1.5em auto;max-width:70em;padding:0 1em}
h1{font-size:1.3em;margin:0}h2{font-size:1em;margin:1.6em 0 .3em}
table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.2em .8em .2em 0;
border-bottom:1px solid var(--line);vertical-align:top;overflow-wrap:anywhere}
th{font-weight:normal;color:var(--dim)}.n{text-align:right;font-variant-numeric:tabular-nums}
.tiles{display:flex;flex-wrap:wrap;gap:1em;margin:1em 0}.tile{border:1px solid var(--line);
border-radius:6px;padding:.5em 1em;min-width:8em}.tile b{display:block;font-size:1.6em}
.dim{color:var(--dim)}.up{color:var(--good)}.down{color:var(--bad);font-weight:bold}
.unknown{color:var(--dim)}.columns{display:grid;gap:0 2em;
grid-template-columns:repeat(auto-fit,minmax(20em,1fr))}svg{width:100%;height:auto}
polyline{fill:none;stroke-width:1.5;vector-effect:non-scaling-stroke}
svg line{stroke:var(--line);vector-effect:non-scaling-stroke}
.ends{display:flex;justify-content:space-between;margin:0}
.lost main{opacity:.4}
</style></head><body>
)";

constexpr std::string_view kTail = R"(<script>
setInterval(async () => {
  if (document.hidden) return;
  try {
    const answer = await fetch(location.pathname);
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    document.querySelector("main").replaceWith(fresh.querySelector("main"));
    document.body.classList.remove("lost");
  } catch { document.body.classList.add("lost"); }
}, 5000);
</script></body></html>
)";

// Escapes untrusted text for HTML content and attributes.
std::string Html(std::string_view text) {
  std::string printable, out;
  AppendPrintable(printable, text);
  for (char c : printable) {
    switch (c) {
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '&':
        out += "&amp;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string Duration(uint64_t seconds) {
  if (seconds < 120) return fmt::format("{} s", seconds);
  if (seconds < 7200) return fmt::format("{} min", seconds / 60);
  if (seconds < 2 * 86400) return fmt::format("{} h {} min", seconds / 3600, seconds / 60 % 60);
  return fmt::format("{} days", seconds / 86400);
}

std::string Bytes(double bytes) {
  constexpr const char* kUnits[] = {"B", "kB", "MB", "GB", "TB"};
  size_t unit = 0;
  for (; bytes >= 1000 && unit + 1 < std::size(kUnits); ++unit) bytes /= 1000;
  return fmt::format("{:.{}f} {}", bytes, unit && bytes < 100 ? 1 : 0, kUnits[unit]);
}

class Page {
 public:
  Page(const Overview& overview, const History& history)
      : proxy_(overview.proxy),
        samples_(history.samples()),
        most_active_(history.most_active()),
        stats_(StatisticsTree(overview)),
        why_not_(WhyNotReady(overview)) {}

  std::string Write() {
    out_ = kHead;
    out_ += "<main>\n";
    Top();
    Tiles();
    Chart();
    Destinations();
    out_ += "<div class=\"columns\">\n";
    Ends();
    Users();
    Process();
    Map();
    out_ +=
        "</div>\n<p class=\"dim\">More: <a href=\"/stats\">/stats</a> (JSON), "
        "<a href=\"/sessions\">/sessions</a> (JSON; ?user=, ?ip=, ?destination=, ?limit=), "
        "<a href=\"/metrics\">/metrics</a> (Prometheus)</p>\n</main>\n";
    out_ += kTail;
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

  // The increase per second between the last two samples.
  double Rate(uint64_t Sample::*member) const {
    return samples_.size() < 2 ? 0 : RateAt(samples_.size() - 1, member);
  }
  double RateAt(size_t i, uint64_t Sample::*member) const {
    const Sample &now = samples_[i], &before = samples_[i - 1];
    double seconds = static_cast<double>(now.at - before.at) / 1000;
    return seconds > 0 ? static_cast<double>(now.*member - before.*member) / seconds : 0;
  }

  void Top() {
    const auto& rum = stats_["rum"];
    Add("<h1>rum {}</h1>\n<p>up {} · module {} · <span class=\"{}\">{}</span></p>\n",
        rum["version"].get<std::string>(), Duration(rum["uptime_seconds"].get<uint64_t>()),
        Html(stats_["module"]["name"].get<std::string>()), why_not_.empty() ? "up" : "down",
        why_not_.empty() ? "serving" : Html(why_not_));
  }

  void Tiles() {
    out_ += "<div class=\"tiles\">\n";
    auto tile = [&](std::string_view value, std::string_view what, std::string_view more) {
      Add("<div class=\"tile\"><b>{}</b>{}<br><span class=\"dim\">{}</span></div>\n", value, what,
          more);
    };
    uint32_t most = proxy_.settings()->access_control.max_connections;
    tile(fmt::format("{}{}", Number("sessions", "active"), most ? fmt::format(" of {}", most) : ""),
         "sessions",
         fmt::format("most {} · {} in all", std::max(most_active_, Number("sessions", "active")),
                     Number("sessions", "accepted")));
    tile(fmt::format("{:.1f}", Rate(&Sample::logins)), "logins a second",
         fmt::format("{} in all", Number("sessions", "logins")));
    uint64_t fails = Number("limits", "login_failures");
    tile(std::to_string(fails), "failed logins",
         fmt::format("{} addresses blocked", Number("limits", "blocked_addresses")));
    tile(Bytes(Rate(&Sample::client_bytes)) + "/s", "from clients",
         Bytes(static_cast<double>(Number("bytes", "client_received"))) + " in all");
    tile(Bytes(Rate(&Sample::upstream_bytes)) + "/s", "from servers",
         Bytes(static_cast<double>(Number("bytes", "upstream_received"))) + " in all");
    out_ += "</div>\n";
  }

  // Sessions and logins of the last ten minutes, each on its own scale.
  void Chart() {
    constexpr double kWide = 600, kHigh = 90;
    std::vector<double> sessions, logins;
    for (size_t i = 1; i < samples_.size(); ++i) {
      sessions.push_back(static_cast<double>(samples_[i].active));
      logins.push_back(RateAt(i, &Sample::logins));
    }
    if (sessions.empty()) return;
    auto line = [&](const std::vector<double>& values, double most, const char* colour) {
      Add("<polyline stroke=\"{}\" points=\"", colour);
      for (size_t i = 0; i < values.size(); ++i) {
        double steps = static_cast<double>(History::kSamples - 2);
        double x = kWide - static_cast<double>(values.size() - 1 - i) * kWide / steps;
        Add("{:.1f},{:.1f} ", x, kHigh - (most > 0 ? values[i] / most : 0) * (kHigh - 4));
      }
      out_ += "\"/>";
    };
    double most_sessions = *std::max_element(sessions.begin(), sessions.end());
    double most_logins = *std::max_element(logins.begin(), logins.end());
    Add("<h2>The last ten minutes</h2>\n<svg viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\""
        "sessions and logins of the last ten minutes\">",
        kWide, kHigh);
    for (double y : {4.0, (kHigh + 4) / 2, kHigh - 0.5}) {
      Add("<line x1=\"0\" x2=\"{}\" y1=\"{}\" y2=\"{}\"/>", kWide, y, y);
    }
    line(logins, most_logins, "var(--dim)");
    line(sessions, most_sessions, "var(--ink)");
    Add("</svg>\n<p class=\"dim ends\"><span>ten minutes ago</span><span><span "
        "style=\"color:var(--ink)\">— sessions</span>, up to {:.0f} · — logins a second, up to "
        "{:.1f}</span><span>now</span></p>\n",
        most_sessions, most_logins);
  }

  void Destinations() {
    out_ +=
        "<h2>Destinations</h2>\n<table><tr><th>address<th class=\"n\">sessions<th>state<th>since"
        "<th>check time<th>what\n";
    for (const auto& one : stats_["destinations"]) {
      std::string state = one["state"].get<std::string>(), what;
      std::string shown = state;
      if (one.contains("circuit")) {
        const std::string circuit = one["circuit"].get<std::string>();
        shown = "circuit " + circuit;
        what = one["circuit_reason"].get<std::string>();
        if (circuit == "open") {
          what += fmt::format("; half-open in {:.0f} s",
                              std::ceil(one["circuit_seconds"].get<double>()));
        }
        state = "down";
      }
      if (one.contains("admin")) {
        shown = one["admin"].get<std::string>();
        state = "down";
      }
      if (one.contains("reason") && what.empty()) {
        what = one["reason"].get<std::string>() + " " + one["detail"].get<std::string>();
      }
      if (one.contains("notes")) {
        for (const auto& [name, value] : one["notes"].items()) {
          what += (what.empty() ? "" : " · ") + name + " " + value.get<std::string>();
        }
      }
      int64_t since = one.value("since", int64_t{0});
      Add("<tr><td>{}<td class=\"n\">{}<td class=\"{}\">{}<td>{}<td class=\"n\">{}<td>{}\n",
          Html(one["address"].get<std::string>()), one["sessions"].get<uint64_t>(), state,
          one.contains("check_seconds") || shown != state || state == "down" ? shown
                                                                             : "not checked",
          since ? Duration(static_cast<uint64_t>(std::max<int64_t>(0, ::time(nullptr) - since)))
                : "",
          one.contains("check_seconds")
              ? fmt::format("{:.1f} ms", one["check_seconds"].get<double>() * 1000)
              : "",
          Html(what));
    }
    out_ += "</table>\n";
  }

  void Ends() {
    out_ += "<div><h2>How sessions ended</h2>\n<table>\n";
    for (const auto& [reason, count] : stats_["sessions"]["ended"].items()) {
      if (count.get<uint64_t>() == 0) continue;
      Add("<tr><td>{}<td class=\"n\">{}\n", reason, count.get<uint64_t>());
    }
    Add("<tr><td class=\"dim\">refused before a session began<td class=\"n\">{}\n</table></div>\n",
        Number("sessions", "refused"));
  }

  void Users() {
    Add("<div><h2>Users with the most sessions</h2>\n<table>\n");
    for (const auto& [user, sessions] : proxy_.admission().users().Top(kUsersListed)) {
      Add("<tr><td>{}<td class=\"n\">{}\n", Html(user), sessions);
    }
    Add("<tr><td class=\"dim\">all users<td class=\"n\">{}\n</table></div>\n",
        Number("limits", "users"));
  }

  void Process() {
    out_ += "<div><h2>Listeners and workers</h2>\n<table>\n";
    for (const auto& one : stats_["listeners"]) {
      Add("<tr><td>{}<td>\n", Html(one["address"].get<std::string>()));
    }
    Add("<tr><td class=\"dim\">memory<td class=\"n\">{}\n",
        Bytes(static_cast<double>(Number("rum", "resident_bytes"))));
    for (const auto& worker : proxy_.workers()) {
      Add("<tr><td class=\"dim\">connections of worker {}<td class=\"n\">{}\n", worker->index(),
          worker->load.load(std::memory_order_relaxed));
      if (!worker->stuck) continue;
      Add("<tr><td class=\"down\" colspan=2>worker {} is stuck in the module: {}\n",
          worker->index(), HookName(worker->hook_place.Look().hook));
    }
    out_ += "</table></div>\n";
  }

  void Map() {
    const auto& map = stats_["map"];
    if (!map["configured"].get<bool>()) return;
    int64_t loaded = map["loaded_at"].get<int64_t>();
    Add("<div><h2>User map</h2>\n<table>\n<tr><td>records<td class=\"n\">{}\n<tr><td>size"
        "<td class=\"n\">{}\n<tr><td>loaded<td class=\"n\">{}\n",
        map["records"].get<uint64_t>(), Bytes(static_cast<double>(map["bytes"].get<uint64_t>())),
        loaded ? Duration(static_cast<uint64_t>(std::max<int64_t>(0, ::time(nullptr) - loaded))) +
                     " ago"
               : "never");
    std::string error = map["last_error"].get<std::string>();
    if (!error.empty()) Add("<tr><td class=\"down\" colspan=2>{}\n", Html(error));
    out_ += "</table></div>\n";
  }

  const Proxy& proxy_;
  const std::deque<Sample>& samples_;
  const uint64_t most_active_;
  const nlohmann::ordered_json stats_;
  const std::string why_not_;
  std::string out_;
};

}  // namespace

std::string StatusPage(const Overview& overview, const History& history) {
  return Page(overview, history).Write();
}

}  // namespace rum
