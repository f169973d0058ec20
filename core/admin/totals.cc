#include "admin/totals.h"

#include <algorithm>

#include "proxy/proxy.h"
#include "proxy/worker.h"

namespace rum {
namespace {

constexpr CounterRow kRows[] = {
    {&Counters::accepted, "sessions", "accepted", "rum_sessions_total", "counter",
     "Sessions begun"},
    {&Counters::active, "sessions", "active", "rum_sessions_active", "gauge", "Sessions now"},
    {&Counters::relaying, "sessions", "relaying", "rum_sessions_relaying", "gauge",
     "Sessions that have completed their login"},
    {&Counters::logins, "sessions", "logins", "rum_logins_total", "counter",
     "Logins that succeeded; connections, where there is no login"},
    {&Counters::connecting, "sessions", "connecting", "rum_sessions_connecting", "gauge",
     "Sessions that wait for a connection to a server"},
    {&Counters::refused, "sessions", "refused", "rum_clients_refused_total", "counter",
     "Clients refused before a session began"},
    {&Counters::accept_failures, "sessions", "accept_failures", "rum_accept_failures_total",
     "counter", "Times that no client could be accepted"},
    {&Counters::connects, "upstream", "connects", "rum_upstream_connects_total", "counter",
     "Connections made to servers"},
    {&Counters::connect_failures, "upstream", "connect_failures",
     "rum_upstream_connect_failures_total", "counter",
     "Attempts to connect to one address that failed"},
    {&Counters::throttled, "upstream", "throttled", "rum_upstream_throttled_total", "counter",
     "Sessions that waited for the connect throttle of a server"},
    {&Counters::kept, "upstream", "kept", "rum_upstream_kept", "gauge",
     "Connections to servers that are kept for the next session"},
    {&Counters::kept_taken, "upstream", "kept_taken", "rum_upstream_kept_taken_total", "counter",
     "Kept connections that a session has taken"},
    {&Counters::kept_lost, "upstream", "kept_lost", "rum_upstream_kept_lost_total", "counter",
     "Kept connections that their server has ended"},
    {&Counters::paused, "pauses", "logins", "rum_pause_logins_total", "counter",
     "Logins that a pause has held"},
    {&Counters::pause_refused, "pauses", "refused", "rum_pause_refused_total", "counter",
     "Logins refused because pauses held too many"},
    {&Counters::probes, "health_checks", "made", "rum_health_checks_total", "counter",
     "Health checks made"},
    {&Counters::client_bytes, "bytes", "client_received", "rum_client_received_bytes_total",
     "counter", "Bytes received from clients"},
    {&Counters::upstream_bytes, "bytes", "upstream_received", "rum_upstream_received_bytes_total",
     "counter", "Bytes received from servers"},
    {&Counters::spliced_bytes, "bytes", "spliced", "rum_spliced_bytes_total", "counter",
     "Bytes of both that were moved by splice"},
    {&Counters::lookups, "map", "lookups", "rum_map_lookups_total", "counter",
     "Lookups in the user map"},
    {&Counters::lookup_misses, "map", "misses", "rum_map_misses_total", "counter",
     "Lookups of names that the map does not have"},
    {&Counters::lookup_failures, "map", "lookup_failures", "rum_map_lookup_failures_total",
     "counter", "Lookups without a map"},
    {&Counters::login_failures, "limits", "login_failures", "rum_login_failures_total", "counter",
     "Logins that failed for a wrong password, an unknown user or the rules of the user"},
    {&Counters::login_blocks, "limits", "login_blocks", "rum_login_blocks_total", "counter",
     "Times that an address was blocked for failed logins"},
};

template <class Get>
uint64_t Sum(const Proxy& proxy, Get get) {
  uint64_t sum = 0;
  for (const auto& worker : proxy.workers()) sum += get(worker->counters).get();
  return sum;
}

// Adds the histogram of one worker.
template <const auto& kBounds>
void Add(const Histogram<kBounds>& histogram, Times& times) {
  times.bounds.assign(kBounds.begin(), kBounds.end());
  times.within.resize(kBounds.size());
  uint64_t within = 0;
  for (size_t i = 0; i < kBounds.size(); ++i) {
    within += histogram.bucket(i);
    times.within[i] += within;
  }
  times.count += within + histogram.bucket(kBounds.size());
  times.micros += histogram.micros();
}

}  // namespace

std::span<const CounterRow> CounterRows() { return kRows; }

uint64_t SumOf(const Proxy& proxy, Counter Counters::*member) {
  return Sum(proxy, [member](const Counters& c) -> const Counter& { return c.*member; });
}

uint64_t SumEnded(const Proxy& proxy, uint32_t reason) {
  return Sum(proxy, [reason](const Counters& c) -> const Counter& { return c.ended[reason]; });
}

uint64_t SumClientsRefused(const Proxy& proxy, Refusal refusal) {
  return Sum(proxy, [refusal](const Counters& c) -> const Counter& {
    return c.clients_refused[static_cast<size_t>(refusal)];
  });
}

uint64_t SumLoginsRefused(const Proxy& proxy, int32_t verdict) {
  return Sum(proxy, [verdict](const Counters& c) -> const Counter& {
    return c.logins_refused[static_cast<size_t>(verdict)];
  });
}

uint64_t SumModule(const Proxy& proxy, size_t i) {
  return Sum(proxy, [i](const Counters& c) -> const Counter& { return c.module[i]; });
}

std::array<Times, 5> SumTimes(const Proxy& proxy) {
  std::array<Times, 5> all = {
      Times{"lookup",
            "rum_lookup_seconds",
            "From accept to the first attempt to connect",
            {},
            {},
            0,
            0},
      Times{"connect", "rum_connect_seconds", "Until a server was connected", {}, {}, 0, 0},
      Times{"authentication",
            "rum_authentication_seconds",
            "From the connection to a server to the end of the login",
            {},
            {},
            0,
            0},
      Times{"login", "rum_login_seconds", "From accept to the end of the login", {}, {}, 0, 0},
      Times{
          "session", "rum_session_seconds", "From accept to the end of the session", {}, {}, 0, 0}};
  for (const auto& worker : proxy.workers()) {
    Add(worker->counters.lookup_times, all[0]);
    Add(worker->counters.connect_times, all[1]);
    Add(worker->counters.authentication_times, all[2]);
    Add(worker->counters.login_times, all[3]);
    Add(worker->counters.session_times, all[4]);
  }
  return all;
}

uint64_t SumRefused(const Proxy& proxy) {
  uint64_t sum = SumOf(proxy, &Counters::refused);
  for (const RefusalRow& row : kRefusals) sum += SumClientsRefused(proxy, row.refusal);
  for (const AdmissionVerdict& row : kAdmissionVerdicts) sum += SumLoginsRefused(proxy, row.number);
  return sum;
}

Sample TakeSample(const Proxy& proxy) {
  return {.at = NowMillis(),
          .active = SumOf(proxy, &Counters::active),
          .logins = SumOf(proxy, &Counters::logins),
          .client_bytes = SumOf(proxy, &Counters::client_bytes),
          .upstream_bytes = SumOf(proxy, &Counters::upstream_bytes),
          .refused = SumRefused(proxy),
          .login_failures = SumOf(proxy, &Counters::login_failures),
          .connect_failures = SumOf(proxy, &Counters::connect_failures)};
}

size_t CountHealth(const Prober& prober, DestinationHealth::State state) {
  return static_cast<size_t>(
      std::count_if(prober.destinations().begin(), prober.destinations().end(),
                    [state](const auto& one) { return one.second.state == state; }));
}

}  // namespace rum
