// The statistics in Prometheus' text format.
#include <fmt/format.h>

#include <iterator>

#include "admin/map_sources.h"
#include "admin/prometheus_servers.h"
#include "admin/readiness.h"
#include "admin/share_report.h"
#include "admin/statistics.h"
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
#include "module/module_config.h"
#include "proxy/hook_watch.h"
#include "proxy/login_pauses.h"
#include "proxy/proxy.h"
#include "upstream/server_health.h"

namespace rum {
namespace {

// Escapes a HELP text.
std::string EscapeHelp(std::string_view text) {
  std::string out;
  for (char c : text) {
    if (c == '\\') out += '\\';
    out += c == '\n' ? std::string("\\n") : std::string(1, c);
  }
  return out;
}

}  // namespace

// Names come from the map, from clients and from servers: what is no good UTF-8 would make
// Prometheus refuse the whole document.
std::string EscapeLabel(std::string_view text) {
  std::string plain, out;
  AppendEscaped(plain, text);  // two names never become one
  for (char c : plain) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out;
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
  // A metric with one label that takes its values from the rows of a table.
  auto each = [&](std::string_view name, std::string_view type, std::string_view help,
                  std::string_view label, const auto& rows, auto value) {
    head(name, type, help);
    for (const auto& row : rows) {
      fmt::format_to(std::back_inserter(out), "{}{{{}=\"{}\"}} {}\n", name, label, row.word,
                     value(row));
    }
  };
  head("rum_info", "gauge", "The version that runs");
  fmt::format_to(std::back_inserter(out), "rum_info{{version=\"{}\",module=\"{}\"}} 1\n",
                 PACKAGE_VERSION, EscapeLabel(proxy.module_config()->module().name));
  one("rum_uptime_seconds", "gauge", "Seconds since the start",
      (NowMillis() - overview.started) / 1000);
  one("rum_ready", "gauge", "1 when clients can be served", WhyNotReady(overview).empty());
  one("rum_workers", "gauge", "Worker threads", proxy.workers().size());
  one("rum_workers_stuck", "gauge", "Workers that wait for a hook of the module to return",
      proxy.hook_watch().stuck());
  one("rum_hook_stalls_total", "counter",
      "Calls of the module's hooks that blocked a worker for nearly a second or longer",
      proxy.hook_watch().stalls());
  for (const CounterRow& row : CounterRows()) {
    one(row.metric, row.type, row.help, SumOf(proxy, row.member));
  }
  each("rum_sessions_ended_total", "counter", "Sessions that ended, by reason", "reason",
       kCloseReasons, [&](const auto& row) { return SumEnded(proxy, row.number); });
  for (const Times& times : SumTimes(proxy)) {
    head(times.metric, "histogram", times.help);
    auto bucket = [&](std::string_view bound, uint64_t value) {
      fmt::format_to(std::back_inserter(out), "{}_bucket{{le=\"{}\"}} {}\n", times.metric, bound,
                     value);
    };
    for (size_t i = 0; i < times.bounds.size(); ++i) {
      bucket(fmt::format("{}", static_cast<double>(times.bounds[i]) / 1e6), times.within[i]);
    }
    bucket("+Inf", times.count);
    fmt::format_to(std::back_inserter(out), "{0}_sum {1:.6f}\n{0}_count {2}\n", times.metric,
                   static_cast<double>(times.micros) / 1e6, times.count);
  }
  one("rum_users_active", "gauge", "Users who have a session that counts for them",
      proxy.admission().users().active());
  one("rum_addresses_blocked", "gauge", "Addresses that are blocked for failed logins",
      proxy.admission().guard().blocked());
  each("rum_logins_refused_total", "counter",
       "Logins refused by the rules of the user or a limit, by reason", "reason",
       kAdmissionVerdicts, [&](const auto& row) { return SumLoginsRefused(proxy, row.number); });
  one("rum_addresses_active", "gauge", "Addresses that have a session, if these are counted",
      proxy.access_control().addresses());
  each("rum_clients_refused_by_limit_total", "counter",
       "Clients refused by access lists and limits, by option", "reason", kRefusals,
       [&](const auto& row) { return SumClientsRefused(proxy, row.refusal); });
  one("rum_health_check_failures_total", "counter", "Health checks that found a server down",
      overview.prober.failures());
  head("rum_destinations", "gauge",
       "Servers in use, by the state that the last health check found");
  for (size_t i = 0; i < std::size(kHealthWords); ++i) {
    auto state = static_cast<DestinationHealth::State>(i);
    fmt::format_to(std::back_inserter(out), "rum_destinations{{state=\"{}\"}} {}\n",
                   kHealthWords[i], overview.prober.on() ? CountHealth(overview.prober, state) : 0);
  }
  one("rum_destinations_circuit_open", "gauge", "Servers whose circuit is open",
      proxy.server_health().open());
  one("rum_destinations_disabled", "gauge", "Servers in drain or maint",
      proxy.server_health().disabled());
  one("rum_pauses", "gauge", "Users and servers whose new logins are held",
      proxy.pauses().List().size());
  one("rum_pause_held", "gauge", "Logins that wait for the end of a pause", proxy.pauses().held());
  one("rum_circuit_opened_total", "counter", "Times that the circuit of a server opened",
      proxy.server_health().opened());
  one("rum_circuit_skipped_total", "counter",
      "Attempts skipped because the circuit of the server was open",
      proxy.server_health().skipped());
  WriteServerMetrics(overview, out);
  WriteUserMetrics(overview, out);
  WriteGenerationMetrics(overview, out);
  one("rum_process_resident_bytes", "gauge", "Memory of the process", ResidentBytes().value_or(0));
  if (int64_t end = CertificateNotAfter(overview)) {
    one("rum_tls_certificate_not_after_seconds", "gauge",
        "When the certificate that clients are shown expires", static_cast<uint64_t>(end));
  }
  if (overview.map) {
    const MapWatchStats& stats = overview.map->stats();
    auto map = proxy.map();
    one("rum_map_records", "gauge", "Records in the user map", map ? map->records() : 0);
    one("rum_map_bytes", "gauge", "Size of the user map", map ? map->bytes() : 0);
    one("rum_map_bad_rules", "gauge", "Users who cannot log in because their rules cannot be read",
        map ? map->rules().refused : 0);
    one("rum_map_country_rules", "gauge", "Users with country rules",
        map ? map->rules().with_countries : 0);
    one("rum_map_loads_total", "counter", "User maps loaded", stats.loads);
    one("rum_map_load_failures_total", "counter", "User maps refused", stats.failures);
    one("rum_map_loaded_timestamp_seconds", "gauge", "When the user map was loaded",
        static_cast<uint64_t>(stats.loaded_at));
    one("rum_map_changes", "gauge", "Users whose records the map's journal has changed",
        map ? map->changes() : 0);
    one("rum_map_changed_timestamp_seconds", "gauge",
        "When changes of the map's journal were last applied",
        static_cast<uint64_t>(overview.map->changed_at()));
    one("rum_map_journal_bad", "gauge",
        "1 if the map's journal cannot be read, is damaged, or does not belong to the map",
        overview.map->journal_error().empty() ? 0 : 1);
  }
  WriteMapSourceMetrics(proxy, out);
  WriteShareMetrics(proxy, out);
  const FileWatchStats geo = overview.geo ? overview.geo->stats() : FileWatchStats();
  one("rum_geo_ranges", "gauge", "Ranges of addresses in the country database",
      overview.geo ? overview.geo->current()->ranges() : 0);
  one("rum_geo_built_timestamp_seconds", "gauge", "When the country database was made",
      overview.geo ? static_cast<uint64_t>(overview.geo->current()->built_at()) : 0);
  one("rum_geo_loads_total", "counter", "Country databases loaded", geo.loads);
  one("rum_geo_load_failures_total", "counter", "Country databases refused", geo.failures);
  one("rum_geo_loaded_timestamp_seconds", "gauge", "When the country database was loaded",
      static_cast<uint64_t>(geo.loaded_at));
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
