#include "admin/prometheus_servers.h"

#include <fmt/format.h>
#include <time.h>

#include <algorithm>
#include <iterator>

#include "admin/generations.h"
#include "admin/merge.h"
#include "admin/servers.h"
#include "admin/statistics.h"
#include "limits/admission.h"
#include "proxy/proxy.h"
#include "proxy/server_counters.h"
#include "proxy/worker.h"
#include "settings/settings.h"

namespace rum {
namespace {

class Writer {
 public:
  explicit Writer(std::string& out) : out_(out) {}

  void Head(std::string_view name, std::string_view type, std::string_view help) {
    fmt::format_to(std::back_inserter(out_), "# HELP {} {}.\n# TYPE {} {}\n", name, help, name,
                   type);
    name_ = name;
  }
  // `labels`: `server="..."`, escaped; empty: none.
  template <class Value>
  void Sample(std::string_view labels, Value value) {
    if (labels.empty()) {
      fmt::format_to(std::back_inserter(out_), "{} {}\n", name_, value);
    } else {
      fmt::format_to(std::back_inserter(out_), "{}{{{}}} {}\n", name_, labels, value);
    }
  }

 private:
  std::string& out_;
  std::string_view name_;
};

// A metric of servers from a list.
template <class Wanted, class Get>
void Each(Writer& writer, const std::vector<std::pair<std::string, const ServerView*>>& servers,
          std::string_view name, std::string_view help, Wanted wanted, Get get) {
  writer.Head(name, "gauge", help);
  for (const auto& [label, server] : servers) {
    if (wanted(*server)) writer.Sample(label, get(*server));
  }
}

void WriteStates(const Overview& overview, Writer& writer) {
  const ServerList list = ListServers(overview, overview.proxy.server_places().most());
  writer.Head("rum_servers_known", "gauge", "Servers in use that rum knows");
  writer.Sample({}, list.known);
  writer.Head(
      "rum_servers_listed", "gauge",
      "Servers whose state has metrics; fewer than are known if --metrics-servers is reached");
  writer.Sample({}, list.servers.size());
  std::vector<std::pair<std::string, const ServerView*>> servers;
  for (const ServerView& server : list.servers) {
    servers.emplace_back("server=\"" + EscapeLabel(server.address) + "\"", &server);
  }
  auto any = [](const ServerView&) { return true; };
  auto checked = [](const ServerView& server) {
    return server.check && server.check->state != DestinationHealth::State::kUnknown;
  };
  Each(writer, servers, "rum_server_sessions", "Sessions of the server", any,
       [](const ServerView& server) { return server.sessions; });
  Each(writer, servers, "rum_server_up", "Whether the last health check found the server up",
       checked, [](const ServerView& server) {
         return server.check->state == DestinationHealth::State::kUp ? 1 : 0;
       });
  Each(writer, servers, "rum_server_check_seconds", "Time that the last health check took", checked,
       [](const ServerView& server) { return fmt::format("{:.6f}", server.check->micros / 1e6); });
  Each(writer, servers, "rum_server_circuit_open",
       "Whether the circuit of the server is open or half-open", any,
       [](const ServerView& server) { return server.refused && server.refused->open ? 1 : 0; });
  Each(writer, servers, "rum_server_disabled", "Whether the server is in drain or maint", any,
       [](const ServerView& server) {
         return server.refused && server.refused->admin != AdminState::kReady ? 1 : 0;
       });
}

// The sum of all workers.
template <class Get>
uint64_t Sum(const Proxy& proxy, size_t place, Get get) {
  uint64_t sum = 0;
  for (const auto& worker : proxy.workers()) {
    const ServerCounters* counters = worker->servers.Read(place);
    if (counters) sum += get(*counters).get();
  }
  return sum;
}

struct Row {
  Counter ServerCounters::*member;
  const char* metric;
  const char* help;
  bool seconds = false;  // the counter has microseconds
};
constexpr Row kRows[] = {
    {&ServerCounters::logins, "rum_server_logins_total", "Logins at the server that succeeded"},
    {&ServerCounters::client_bytes, "rum_server_sent_bytes_total",
     "Bytes relayed from clients to the server"},
    {&ServerCounters::upstream_bytes, "rum_server_received_bytes_total",
     "Bytes relayed from the server to clients"},
    {&ServerCounters::connects, "rum_server_connects_total", "Connections made for clients"},
    {&ServerCounters::connect_micros, "rum_server_connect_seconds_total",
     "Sum of the times to connect", true},
};

void WriteCounters(const Proxy& proxy, Writer& writer) {
  const ServerPlaces& places = proxy.server_places();
  const size_t taken = places.taken();
  std::vector<std::string> labels = {{}};
  for (size_t place = 1; place <= taken; ++place) {
    labels.push_back("server=\"" + EscapeLabel(places.name(place)) + "\"");
  }
  for (const Row& row : kRows) {
    writer.Head(row.metric, "counter", row.help);
    for (size_t place = 1; place <= taken; ++place) {
      const uint64_t sum = Sum(
          proxy, place, [&](const ServerCounters& c) -> const Counter& { return c.*row.member; });
      if (row.seconds) {
        writer.Sample(labels[place], fmt::format("{:.6f}", static_cast<double>(sum) / 1e6));
      } else {
        writer.Sample(labels[place], sum);
      }
    }
  }
  writer.Head("rum_server_failures_total", "counter",
              "Attempts to connect and logins that failed, and sessions that the server reset");
  for (size_t place = 1; place <= taken; ++place) {
    for (const CloseReason& reason : kCloseReasons) {
      const uint64_t sum = Sum(proxy, place, [&](const ServerCounters& c) -> const Counter& {
        return c.failed[reason.number];
      });
      if (sum) writer.Sample(fmt::format("{},reason=\"{}\"", labels[place], reason.word), sum);
    }
  }
  uint64_t omitted = 0;
  for (const auto& worker : proxy.workers()) omitted += worker->servers.omitted().get();
  writer.Head("rum_servers_omitted_total", "counter",
              "Attempts to use a server without counters since --metrics-servers is reached");
  writer.Sample({}, omitted);
}

}  // namespace

void WriteServerMetrics(const Overview& overview, std::string& out) {
  Writer writer(out);
  WriteStates(overview, writer);
  WriteCounters(overview.proxy, writer);
}

void WriteGenerationMetrics(const Overview& overview, std::string& out) {
  Writer writer(out);
  auto each = [&](std::string_view name, std::string_view help, auto get) {
    writer.Head(name, "gauge", help);
    if (!overview.older) return;
    for (const GenerationState& state : overview.older->states()) {
      writer.Sample(fmt::format("pid=\"{}\"", state.process.pid), get(state));
    }
  };
  const int64_t now = ::time(nullptr);
  each("rum_generation_sessions", "Sessions that a process from before a hand-over still has",
       [](const GenerationState& state) { return state.sessions; });
  each("rum_generation_draining_seconds", "Time since that process handed over",
       [now](const GenerationState& state) {
         return std::max<int64_t>(0, now - state.process.since);
       });
  each("rum_generation_answers", "Whether that process answers",
       [](const GenerationState& state) { return state.silent ? 0 : 1; });
}

void WriteUserMetrics(const Overview& overview, std::string& out) {
  Writer writer(out);
  writer.Head("rum_user_sessions", "gauge", "Sessions of the users that have the most");
  const uint32_t most = overview.proxy.settings()->metrics_users;
  if (most == 0) return;
  for (const auto& [user, sessions] :
       TopUsers(overview.proxy.admission().users(), overview.older, most)) {
    writer.Sample("user=\"" + EscapeLabel(user) + "\"", sessions);
  }
}

}  // namespace rum
