#include "admin/statistics.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>

#include "base/clock.h"
#include "base/log.h"
#include "config.h"
#include "limits/admission.h"
#include "limits/gate.h"
#include "map/map_watcher.h"
#include "module/module_config.h"
#include "options.h"
#include "proxy/listener.h"
#include "proxy/proxy.h"
#include "proxy/worker.h"
#include "upstream/prober.h"

namespace rum {
namespace {

// A number that is kept by each worker: where it is, what it is called, what it means.
struct CounterRow {
  Counter Counters::*member;
  const char* group;   // in the JSON
  const char* name;    // in the JSON
  const char* metric;  // for Prometheus, with its unit
  const char* type;
  const char* help;
};

constexpr CounterRow kRows[] = {
    {&Counters::accepted, "sessions", "accepted", "rum_sessions_total", "counter",
     "Sessions begun"},
    {&Counters::active, "sessions", "active", "rum_sessions_active", "gauge", "Sessions now"},
    {&Counters::relaying, "sessions", "relaying", "rum_sessions_relaying", "gauge",
     "Sessions whose login is over"},
    {&Counters::connecting, "sessions", "connecting", "rum_sessions_connecting", "gauge",
     "Sessions that wait for a connection to a server"},
    {&Counters::refused, "sessions", "refused", "rum_clients_refused_total", "counter",
     "Clients turned away before a session began"},
    {&Counters::accept_failures, "sessions", "accept_failures", "rum_accept_failures_total",
     "counter", "Times that no client could be accepted"},
    {&Counters::connects, "upstream", "connects", "rum_upstream_connects_total", "counter",
     "Connections made to servers"},
    {&Counters::connect_failures, "upstream", "connect_failures",
     "rum_upstream_connect_failures_total", "counter",
     "Attempts to connect to one address that failed"},
    {&Counters::probes, "probes", "made", "rum_probes_total", "counter",
     "Times that rum itself asked a server"},
    {&Counters::client_bytes, "bytes", "client_received", "rum_client_received_bytes_total",
     "counter", "Bytes received from clients"},
    {&Counters::upstream_bytes, "bytes", "upstream_received", "rum_upstream_received_bytes_total",
     "counter", "Bytes received from servers"},
    {&Counters::spliced_bytes, "bytes", "spliced", "rum_spliced_bytes_total", "counter",
     "Bytes of both that were moved by splice"},
    {&Counters::lookups, "map", "lookups", "rum_map_lookups_total", "counter",
     "Questions to the user map"},
    {&Counters::lookup_misses, "map", "misses", "rum_map_misses_total", "counter",
     "Questions for a name that the map does not have"},
    {&Counters::lookup_failures, "map", "lookup_failures", "rum_map_lookup_failures_total",
     "counter", "Questions that no map could answer"},
    {&Counters::login_failures, "limits", "login_failures", "rum_login_failures_total", "counter",
     "Logins that failed for a wrong password or an unknown user"},
    {&Counters::login_blocks, "limits", "login_blocks", "rum_login_blocks_total", "counter",
     "Times that an address was blocked for failed logins"},
};

template <class Get>
uint64_t Sum(const Proxy& proxy, Get get) {
  uint64_t sum = 0;
  for (const auto& worker : proxy.workers()) sum += get(worker->counters).get();
  return sum;
}

uint64_t SumOf(const Proxy& proxy, Counter Counters::*member) {
  return Sum(proxy, [member](const Counters& c) -> const Counter& { return c.*member; });
}

uint64_t SumEnded(const Proxy& proxy, uint32_t reason) {
  return Sum(proxy, [reason](const Counters& c) -> const Counter& { return c.ended[reason]; });
}

uint64_t SumRefused(const Proxy& proxy, int32_t verdict) {
  return Sum(proxy, [verdict](const Counters& c) -> const Counter& {
    return c.admissions_refused[static_cast<size_t>(verdict)];
  });
}

uint64_t SumTurnedAway(const Proxy& proxy, Refusal refusal) {
  return Sum(proxy, [refusal](const Counters& c) -> const Counter& {
    return c.turned_away[static_cast<size_t>(refusal)];
  });
}

uint64_t SumModule(const Proxy& proxy, size_t i) {
  return Sum(proxy, [i](const Counters& c) -> const Counter& { return c.module[i]; });
}

nlohmann::ordered_json ModuleJson(const Proxy& proxy) {
  const ModuleConfig& config = *proxy.module_config();
  const rum_module& module = config.module();
  nlohmann::ordered_json json = {{"name", module.name},
                                 {"version", module.version ? module.version : ""}};
  for (size_t i = 0; i < module.metric_count; ++i) {
    json["counters"][config.loaded().metric(i).name] = SumModule(proxy, i);
  }
  if (module.stats) {
    std::string text(16384, '\0');
    text.resize(std::min(text.size(), module.stats(config.get(), text.data(), text.size())));
    auto parsed = nlohmann::ordered_json::parse(text, nullptr, false);
    if (!parsed.is_discarded()) json["details"] = std::move(parsed);
  }
  return json;
}

constexpr std::string_view kHealthWords[] = {"unknown", "well", "unwell"};
// Of the destinations that were probed so many are told one by one, those that are unwell first.
constexpr size_t kDestinationsTold = 100;

size_t CountHealth(const Prober& prober, DestinationHealth::State state) {
  return static_cast<size_t>(
      std::count_if(prober.destinations().begin(), prober.destinations().end(),
                    [state](const auto& one) { return one.second.state == state; }));
}

void AddHealth(const Prober& prober, nlohmann::ordered_json& probes) {
  using State = DestinationHealth::State;
  probes["failures"] = prober.failures();
  for (size_t i = 0; i < std::size(kHealthWords); ++i) {
    probes[std::string(kHealthWords[i])] =
        prober.on() ? CountHealth(prober, static_cast<State>(i)) : 0;
  }
  probes["destinations"] = nlohmann::ordered_json::array();
  for (State state : {State::kUnwell, State::kWell, State::kUnknown}) {
    for (const auto& [key, health] : prober.destinations()) {
      if (!prober.on() || health.state != state) continue;
      if (probes["destinations"].size() >= kDestinationsTold) return;
      nlohmann::ordered_json one = {{"address", key},
                                    {"state", kHealthWords[static_cast<size_t>(state)]},
                                    {"since", health.since},
                                    {"seconds", static_cast<double>(health.micros) / 1e6}};
      if (state == State::kUnwell) {
        one["reason"] = CloseReasonWord(health.reason);
        one["detail"] = health.text;
      }
      for (const auto& [name, value] : health.notes) one["notes"][name] = value;
      probes["destinations"].push_back(std::move(one));
    }
  }
}

// As the text form wants it for HELP.
std::string EscapeHelp(std::string_view text) {
  std::string out;
  for (char c : text) {
    if (c == '\\') out += '\\';
    out += c == '\n' ? std::string("\\n") : std::string(1, c);
  }
  return out;
}

std::string EscapeLabel(std::string_view text) {
  std::string out;
  for (char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c == '\n' ? ' ' : c;
  }
  return out;
}

}  // namespace

std::string WhyNotReady(const Overview& overview) {
  if (overview.draining) return "draining";
  if (overview.map && overview.map->stats().loads == 0) return "no user map is loaded";
  return {};
}

std::string StatisticsJson(const Overview& overview) {
  const Proxy& proxy = overview.proxy;
  nlohmann::ordered_json json;
  json["rum"] = {{"version", PACKAGE_VERSION},
                 {"pid", ::getpid()},
                 {"uptime_seconds", (NowMillis() - overview.started) / 1000},
                 {"workers", proxy.workers().size()},
                 {"ready", WhyNotReady(overview).empty()},
                 {"draining", overview.draining}};
  json["listeners"] = nlohmann::ordered_json::array();
  for (const auto& listener : proxy.listeners()) {
    json["listeners"].push_back({{"address", listener->text()}});
  }
  json["destinations"] = nlohmann::ordered_json::array();
  for (const Address& address : proxy.settings()->destinations) {
    json["destinations"].push_back({{"address", address.text()}});
  }
  for (const CounterRow& row : kRows) json[row.group][row.name] = SumOf(proxy, row.member);
  for (const CloseReason& reason : kCloseReasons) {
    json["sessions"]["ended"][std::string(reason.word)] = SumEnded(proxy, reason.number);
  }
  json["limits"]["users"] = proxy.admission().users().active();
  json["limits"]["blocked_addresses"] = proxy.admission().guard().blocked();
  for (const AdmissionVerdict& verdict : kAdmissionVerdicts) {
    json["limits"]["refused"][std::string(verdict.word)] = SumRefused(proxy, verdict.number);
  }
  json["limits"]["addresses"] = proxy.gate().addresses();
  for (const RefusalRow& row : kRefusals) {
    json["limits"]["turned_away"][std::string(row.word)] = SumTurnedAway(proxy, row.refusal);
  }
  AddHealth(proxy.prober(), json["probes"]);
  json["map"]["configured"] = overview.map != nullptr;
  if (overview.map) {
    const MapWatchStats& stats = overview.map->stats();
    auto map = proxy.map();
    json["map"]["loaded"] = map != nullptr;
    json["map"]["records"] = map ? map->records() : 0;
    json["map"]["bytes"] = map ? map->bytes() : 0;
    json["map"]["bad_rules"] = map ? map->rules().refused : 0;
    json["map"]["country_rules"] = map ? map->rules().with_countries : 0;
    json["map"]["loads"] = stats.loads;
    json["map"]["load_failures"] = stats.failures;
    json["map"]["loaded_at"] = stats.loaded_at;
    json["map"]["last_error"] = stats.last_error;
  }
  json["module"] = ModuleJson(proxy);
  json["log"] = {{"dropped", log::Dropped()}};
  return json.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

std::string StatisticsPrometheus(const Overview& overview) {
  const Proxy& proxy = overview.proxy;
  std::string out;
  auto head = [&](std::string_view name, std::string_view type, std::string_view help) {
    fmt::format_to(std::back_inserter(out), "# HELP {} {}.\n# TYPE {} {}\n", name, EscapeHelp(help),
                   name, type);
  };
  auto one = [&](std::string_view name, std::string_view type, std::string_view help,
                 uint64_t value) {
    head(name, type, help);
    fmt::format_to(std::back_inserter(out), "{} {}\n", name, value);
  };
  head("rum_info", "gauge", "The version that runs");
  fmt::format_to(std::back_inserter(out), "rum_info{{version=\"{}\",module=\"{}\"}} 1\n",
                 PACKAGE_VERSION, EscapeLabel(proxy.module_config()->module().name));
  one("rum_uptime_seconds", "gauge", "Seconds since the start",
      (NowMillis() - overview.started) / 1000);
  one("rum_ready", "gauge", "1 when clients can be served", WhyNotReady(overview).empty());
  one("rum_workers", "gauge", "Worker threads", proxy.workers().size());
  for (const CounterRow& row : kRows) {
    one(row.metric, row.type, row.help, SumOf(proxy, row.member));
  }
  head("rum_sessions_ended_total", "counter", "Sessions that ended, by reason");
  for (const CloseReason& reason : kCloseReasons) {
    fmt::format_to(std::back_inserter(out), "rum_sessions_ended_total{{reason=\"{}\"}} {}\n",
                   reason.word, SumEnded(proxy, reason.number));
  }
  one("rum_users_active", "gauge", "Users who have a session that counts for them",
      proxy.admission().users().active());
  one("rum_addresses_blocked", "gauge", "Addresses that are blocked for failed logins",
      proxy.admission().guard().blocked());
  head("rum_admissions_refused_total", "counter",
       "Logins refused by the rules of the user or a limit, by verdict");
  for (const AdmissionVerdict& verdict : kAdmissionVerdicts) {
    fmt::format_to(std::back_inserter(out), "rum_admissions_refused_total{{verdict=\"{}\"}} {}\n",
                   verdict.word, SumRefused(proxy, verdict.number));
  }
  one("rum_addresses_active", "gauge", "Addresses that have a session, if these are counted",
      proxy.gate().addresses());
  head("rum_clients_turned_away_total", "counter",
       "Clients turned away by access lists and limits, by the option");
  for (const RefusalRow& row : kRefusals) {
    fmt::format_to(std::back_inserter(out), "rum_clients_turned_away_total{{option=\"{}\"}} {}\n",
                   row.word, SumTurnedAway(proxy, row.refusal));
  }
  one("rum_probe_failures_total", "counter", "Probes that found a server unwell",
      proxy.prober().failures());
  head("rum_destinations", "gauge", "Servers in use, by what their last probe found");
  for (size_t i = 0; i < std::size(kHealthWords); ++i) {
    auto state = static_cast<DestinationHealth::State>(i);
    fmt::format_to(std::back_inserter(out), "rum_destinations{{state=\"{}\"}} {}\n",
                   kHealthWords[i], proxy.prober().on() ? CountHealth(proxy.prober(), state) : 0);
  }
  if (overview.map) {
    const MapWatchStats& stats = overview.map->stats();
    auto map = proxy.map();
    one("rum_map_records", "gauge", "Records in the user map", map ? map->records() : 0);
    one("rum_map_bytes", "gauge", "Size of the user map", map ? map->bytes() : 0);
    one("rum_map_bad_rules", "gauge", "Users who cannot log in since their rules cannot be read",
        map ? map->rules().refused : 0);
    one("rum_map_country_rules", "gauge", "Users with rules about countries, which are not obeyed",
        map ? map->rules().with_countries : 0);
    one("rum_map_loads_total", "counter", "User maps loaded", stats.loads);
    one("rum_map_load_failures_total", "counter", "User maps refused", stats.failures);
    one("rum_map_loaded_timestamp_seconds", "gauge", "When the user map was loaded",
        static_cast<uint64_t>(stats.loaded_at));
  }
  const ModuleConfig& config = *proxy.module_config();
  for (size_t i = 0; i < config.module().metric_count; ++i) {
    rum_metric metric = config.loaded().metric(i);
    one(fmt::format("rum_{}_total", metric.name), "counter", metric.help ? metric.help : "",
        SumModule(proxy, i));
  }
  one("rum_log_lines_dropped_total", "counter", "Log lines that were dropped", log::Dropped());
  return out;
}

}  // namespace rum
