#include "admin/statistics.h"

#include <unistd.h>

#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>

#include "admin/generations.h"
#include "admin/map_sources.h"
#include "admin/merge.h"
#include "admin/readiness.h"
#include "admin/servers.h"
#include "admin/share_report.h"
#include "admin/totals.h"
#include "base/clock.h"
#include "base/escape.h"
#include "base/log.h"
#include "config.h"
#include "geo/geo_watcher.h"
#include "limits/access_control.h"
#include "limits/admission.h"
#include "limits/resident.h"
#include "map/map_watcher.h"
#include "module/hook.h"
#include "module/module_config.h"
#include "proxy/hook_watch.h"
#include "proxy/listener.h"
#include "proxy/login_pauses.h"
#include "proxy/proxy.h"
#include "proxy/worker.h"
#include "settings/settings.h"
#include "tls/tls_contexts.h"
#include "upstream/server_health.h"

namespace rum {
namespace {

nlohmann::ordered_json ModuleJson(const Proxy& proxy) {
  const ModuleConfig& config = *proxy.module_config();
  const rum_module& module = config.module();
  nlohmann::ordered_json json = {{"name", module.name},
                                 {"version", module.version ? module.version : ""}};
  for (size_t i = 0; i < module.metric_count; ++i) {
    json["counters"][config.loaded().metric(i).name] = SumModule(proxy, i);
  }
  if (module.stats) {
    InHook in(HookPlace::OfThread(), Hook::kStats);
    std::string text(16384, '\0');
    text.resize(std::min(text.size(), module.stats(config.get(), text.data(), text.size())));
    auto parsed = nlohmann::ordered_json::parse(text, nullptr, false);
    if (!parsed.is_discarded()) json["details"] = std::move(parsed);
  }
  return json;
}

void AddHealth(const Prober& prober, nlohmann::ordered_json& checks) {
  checks["failures"] = prober.failures();
  for (size_t i = 0; i < std::size(kHealthWords); ++i) {
    checks[std::string(kHealthWords[i])] =
        prober.on() ? CountHealth(prober, static_cast<DestinationHealth::State>(i)) : 0;
  }
}

void AddCheck(const DestinationHealth& health, nlohmann::ordered_json& one) {
  one["state"] = kHealthWords[static_cast<size_t>(health.state)];
  one["since"] = health.since;
  one["check_seconds"] = static_cast<double>(health.micros) / 1e6;
  if (health.state == DestinationHealth::State::kDown) {
    one["reason"] = CloseReasonWord(health.reason);
    one["detail"] = health.text;
  }
  for (const auto& [name, value] : health.notes) one["notes"][name] = value;
}

void AddUnavailable(const ServerHealth::Unavailable& server, nlohmann::ordered_json& one) {
  if (server.admin != AdminState::kReady) {
    one["admin"] = kAdminStateWords[static_cast<size_t>(server.admin)];
  }
  if (!server.open) return;
  one["circuit"] = server.milliseconds ? "open" : "half-open";
  one["circuit_reason"] = CloseReasonWord(server.reason);
  one["circuit_seconds"] = static_cast<double>(server.milliseconds) / 1e3;
}

nlohmann::ordered_json DestinationsJson(const ServerList& list) {
  auto json = nlohmann::ordered_json::array();
  for (const ServerView& server : list.servers) {
    nlohmann::ordered_json one = {{"address", server.address},
                                  {"default", server.is_default},
                                  {"sessions", server.sessions},
                                  {"state", kHealthWords[0]}};
    if (server.check) AddCheck(*server.check, one);
    if (server.refused) AddUnavailable(*server.refused, one);
    json.push_back(std::move(one));
  }
  return json;
}

// Adds the older processes, and what they have now.
void AddGenerations(const Generations& older, nlohmann::ordered_json& json) {
  for (const GenerationState& state : older.states()) {
    json["generations"].push_back({{"pid", state.process.pid},
                                   {"version", state.version},
                                   {"since", state.process.since},
                                   {"uptime_seconds", state.uptime_seconds},
                                   {"state", state.silent ? "no answer" : "draining"},
                                   {"sessions", state.sessions}});
  }
  auto& sessions = json["sessions"];
  auto add = [&](const char* name, uint64_t GenerationState::*member) {
    sessions[name] = sessions[name].get<uint64_t>() + older.SumOf(member);
  };
  add("active", &GenerationState::sessions);
  add("relaying", &GenerationState::relaying);
  add("connecting", &GenerationState::connecting);
}

}  // namespace

int64_t CertificateNotAfter(const Overview& overview) {
  return overview.tls && overview.tls->server ? overview.tls->server->not_after() : 0;
}

nlohmann::ordered_json StatisticsTree(const Overview& overview, const ServerList& servers,
                                      const VerdictFacts& facts) {
  const Proxy& proxy = overview.proxy;
  nlohmann::ordered_json json;
  json["rum"] = {{"version", PACKAGE_VERSION},
                 {"pid", ::getpid()},
                 {"uptime_seconds", (NowMillis() - overview.started) / 1000},
                 {"workers", proxy.workers().size()},
                 {"workers_stuck", proxy.hook_watch().stuck()},
                 {"hook_stalls", proxy.hook_watch().stalls()},
                 {"resident_bytes", ResidentBytes().value_or(0)},
                 {"ready", facts.why_not_ready.empty()},
                 {"draining", overview.draining}};
  const Verdict verdict = Judge(facts);
  json["verdict"] = {{"word", verdict.word}, {"reasons", nlohmann::ordered_json::array()}};
  for (const Verdict::Reason& reason : verdict.reasons) {
    json["verdict"]["reasons"].push_back(reason.text);
  }
  json["listeners"] = nlohmann::ordered_json::array();
  for (const auto& listener : proxy.listeners()) {
    json["listeners"].push_back({{"address", listener->text()}});
  }
  json["servers"] = {{"known", servers.known}, {"listed", servers.servers.size()}};
  json["destinations"] = DestinationsJson(servers);
  for (const CounterRow& row : CounterRows()) json[row.group][row.name] = SumOf(proxy, row.member);
  for (const CloseReason& reason : kCloseReasons) {
    json["sessions"]["ended"][std::string(reason.word)] = SumEnded(proxy, reason.number);
  }
  json["generations"] = nlohmann::ordered_json::array();
  if (overview.older) AddGenerations(*overview.older, json);
  json["limits"]["users"] = CountUsers(proxy.admission().users(), overview.older);
  json["limits"]["blocked_addresses"] = proxy.admission().guard().blocked();
  for (const AdmissionVerdict& verdict : kAdmissionVerdicts) {
    json["limits"]["logins_refused"][std::string(verdict.word)] =
        SumLoginsRefused(proxy, verdict.number);
  }
  json["limits"]["addresses"] = proxy.access_control().addresses();
  for (const RefusalRow& row : kRefusals) {
    json["limits"]["clients_refused"][std::string(row.word)] =
        SumClientsRefused(proxy, row.refusal);
  }
  for (const Times& times : SumTimes(proxy)) {
    json["times"][times.name] = {{"count", times.count},
                                 {"seconds", static_cast<double>(times.micros) / 1e6}};
  }
  AddHealth(overview.prober, json["health_checks"]);
  const ServerHealth& health = proxy.server_health();
  json["circuit_breaker"] = {
      {"open", health.open()}, {"opened", health.opened()}, {"skipped", health.skipped()}};
  json["admin"] = {{"disabled", health.disabled()}};
  json["pauses"]["held"] = proxy.pauses().held();
  const auto pauses = proxy.pauses().List();
  json["pauses"]["active"] = pauses.size();
  json["pauses"]["list"] = nlohmann::ordered_json::array();
  for (const LoginPauses::Entry& pause : pauses) {
    json["pauses"]["list"].push_back(
        {{pause.kind == LoginPauses::Kind::kUser ? "user" : "server", pause.name},
         {"held", pause.held},
         {"seconds", static_cast<double>(pause.milliseconds) / 1e3}});
  }
  if (int64_t end = CertificateNotAfter(overview)) json["tls"]["certificate_not_after"] = end;
  json["map"]["configured"] = overview.map || proxy.remote_map();
  if (overview.map || proxy.remote_map()) {
    const MapWatchStats stats = overview.map ? overview.map->stats() : MapWatchStats();
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
    json["map"]["changes"] = map ? map->changes() : 0;
    json["map"]["changed_at"] = overview.map ? overview.map->changed_at() : 0;
    json["map"]["journal_error"] = overview.map ? overview.map->journal_error() : std::string();
  }
  AddMapSources(proxy, json["map"]);
  json["share"] = ShareJson(proxy);
  json["geo"]["configured"] = overview.geo != nullptr;
  const FileWatchStats geo = overview.geo ? overview.geo->stats() : FileWatchStats();
  json["geo"]["ranges"] = overview.geo ? overview.geo->current()->ranges() : 0;
  json["geo"]["built_at"] = overview.geo ? overview.geo->current()->built_at() : 0;
  json["geo"]["loads"] = geo.loads;
  json["geo"]["load_failures"] = geo.failures;
  json["geo"]["loaded_at"] = geo.loaded_at;
  json["geo"]["last_error"] = geo.last_error;
  json["module"] = ModuleJson(proxy);
  json["log"] = {{"dropped", log::Dropped()}};
  return json;
}

std::string StatisticsJson(const Overview& overview) {
  const ServerList servers = ListServers(overview);
  return ShowJson(StatisticsTree(overview, servers, FactsOf(overview, servers))
                      .dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace)) +
         "\n";
}

}  // namespace rum
