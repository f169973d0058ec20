#include "admin/limits_list.h"

#include <fmt/ranges.h>

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "admin/share_report.h"
#include "admin/totals.h"
#include "limits/access_control.h"
#include "limits/admission.h"
#include "limits/resident.h"
#include "proxy/proxy.h"
#include "settings/option_rows.h"

namespace rum {
namespace {

// The value to compare a limit with, and its refusals; nullopt where no single number exists.
struct LimitRow {
  std::string_view option;
  uint64_t (*now)(const Proxy& proxy);
  uint64_t (*refused)(const Proxy& proxy);
};

template <Refusal kRefusal>
uint64_t ClientsRefused(const Proxy& proxy) {
  return SumClientsRefused(proxy, kRefusal);
}
template <int32_t kVerdict>
uint64_t LoginsRefused(const Proxy& proxy) {
  return SumLoginsRefused(proxy, kVerdict);
}

constexpr LimitRow kRows[] = {
    {"max-connections", [](const Proxy& p) -> uint64_t { return p.access_control().connections(); },
     ClientsRefused<Refusal::kMaxConnections>},
    {"max-connections-per-ip", nullptr, ClientsRefused<Refusal::kMaxConnectionsPerIp>},
    {"max-connecting", [](const Proxy& p) -> uint64_t { return p.access_control().connecting(); },
     ClientsRefused<Refusal::kMaxConnecting>},
    {"max-connecting-per-destination", nullptr,
     ClientsRefused<Refusal::kMaxConnectingPerDestination>},
    {"connection-rate", nullptr, ClientsRefused<Refusal::kConnectionRate>},
    {"connection-rate-per-ip", nullptr, ClientsRefused<Refusal::kConnectionRatePerIp>},
    {"max-memory", [](const Proxy&) { return ResidentBytes().value_or(0); },
     ClientsRefused<Refusal::kMaxMemory>},
    {"max-connections-per-user", nullptr, LoginsRefused<RUM_REFUSED_CONNECTIONS>},
    {"user-rate", nullptr, LoginsRefused<RUM_REFUSED_RATE>},
    {"login-failures", nullptr, [](const Proxy& p) { return SumOf(p, &Counters::login_blocks); }},
};

// The default that a help text has in parentheses at its end.
std::string DefaultOf(std::string_view help) {
  size_t open = help.rfind('(');
  return open == help.npos ? "off" : std::string(help.substr(open + 1, help.size() - open - 2));
}

}  // namespace

nlohmann::ordered_json LimitsJson(const Proxy& proxy) {
  nlohmann::ordered_json json = {{"limits", nlohmann::ordered_json::array()}};
  const auto& given = proxy.settings()->given;
  for (const OptionRow& row : kOptionRows) {
    if (std::string_view(row.group) != kLimitsGroup) continue;
    std::string name = std::string(row.flags).substr(2);
    auto found = given.find(name);
    bool set = found != given.end() && !found->second.empty();
    nlohmann::ordered_json one = {
        {"name", name},
        {"value", set ? fmt::format("{}", fmt::join(found->second, ",")) : DefaultOf(row.help)}};
    for (const LimitRow& limit : kRows) {
      if (limit.option != name) continue;
      if (limit.now) one["now"] = limit.now(proxy);
      one["refused"] = limit.refused(proxy);
    }
    json["limits"].push_back(std::move(one));
  }
  json["share"] = ShareJson(proxy);
  return json;
}

}  // namespace rum
