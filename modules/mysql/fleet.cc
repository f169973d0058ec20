#include "mysql/fleet.h"

#include <rum/module.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <utility>

#include "mysql/capabilities.h"

namespace rum::mysql {
namespace {

// A server that has not greeted for so long is no longer reckoned with.
constexpr int64_t kForgotten = 24 * 3600;
// That a known server greeted again is noted, and what is kept is written, no more often.
constexpr int64_t kFresh = 600;
constexpr int64_t kKeepAgain = 3600;
constexpr size_t kServersMost = 4096;

constexpr size_t kVersionMost = 60;  // what clients reserve for it
constexpr uint64_t kAlways = kLongPassword | kProtocol41 | kSecureConnection;
constexpr char kFormat[] = "rum-mysql-fleet-1";
constexpr uint32_t kFirstUtf8Mb4 = 50503;
constexpr uint8_t kUtf8 = 33;

// Servers build names of systems and packages into it: only what a version may consist of is shown
// to clients.
std::string Shown(std::string_view version) {
  auto end = std::find_if(version.begin(), version.end(), [](char c) {
    return !((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
             c == '.' || c == '-' || c == '_' || c == '+' || c == '~' || c == ':');
  });
  return std::string(version.begin(), end).substr(0, kVersionMost);
}

const char* FamilyName(bool mariadb) { return mariadb ? "MariaDB" : "MySQL"; }

struct Count {
  size_t all = 0, defaults = 0;
  std::optional<ServerVersion> lowest;
  std::string lowest_text;
};

// [0]: MySQL, [1]: MariaDB.
struct Census {
  Count families[2];
  uint64_t capabilities = UINT64_MAX;
};

Census TakeCensus(const Servers& servers) {
  Census census;
  for (const auto& [address, server] : servers) {
    ServerVersion version = ReadVersion(server.version);
    if (version.number == 0) continue;
    Count& family = census.families[version.mariadb];
    ++family.all;
    family.defaults += server.is_default;
    if (!family.lowest || version.number < family.lowest->number) {
      family.lowest = version;
      family.lowest_text = Shown(server.version);
    }
    // By its version too: DEPRECATE_EOF is announced by servers that do it wrong. Whether to
    // compress is offered at all is the configuration's affair.
    census.capabilities &=
        (server.capabilities | kAlways) & (OfferedCapabilities(version) | kCompresses);
  }
  return census;
}

}  // namespace

std::optional<Promise> PromiseOf(const Servers& servers) {
  Census census = TakeCensus(servers);
  const Count& mysql = census.families[0];
  const Count& mariadb = census.families[1];
  if (mysql.all + mariadb.all == 0) return std::nullopt;
  bool wants_mariadb = mariadb.all >= mysql.all;
  if ((mysql.defaults == 0) != (mariadb.defaults == 0)) wants_mariadb = mariadb.defaults != 0;
  const Count& family = wants_mariadb ? mariadb : mysql;
  Promise promise;
  promise.version = family.lowest_text;
  promise.capabilities = census.capabilities | kAlways;
  for (const Count& count : census.families) {
    if (count.lowest && count.lowest->number < kFirstUtf8Mb4) promise.charset = kUtf8;
  }
  return promise;
}

bool AreMixed(const Servers& servers) {
  Census census = TakeCensus(servers);
  return census.families[0].all && census.families[1].all;
}

std::string WriteServers(const Servers& servers) {
  nlohmann::ordered_json json = {{"format", kFormat}, {"servers", nlohmann::json::array()}};
  for (const auto& [address, server] : servers) {
    json["servers"].push_back({{"address", address},
                               {"version", server.version},
                               {"capabilities", HexOf(server.capabilities)},
                               {"plugin", server.plugin},
                               {"default", server.is_default},
                               {"seen", server.seen}});
  }
  return json.dump(1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

Parsed<Servers> ReadServers(std::string_view text, int64_t now) {
  auto json = nlohmann::json::parse(text, nullptr, false);
  if (!json.is_object() || json.value("format", nlohmann::json()) != kFormat ||
      !json.contains("servers") || !json["servers"].is_array()) {
    return {.value = {}, .why = "it is not of this program or version"};
  }
  Servers servers;
  for (const auto& one : json["servers"]) {
    if (!one.is_object() || servers.size() >= kServersMost) continue;
    auto word = [&](const char* name) -> std::string {
      auto found = one.find(name);
      return found != one.end() && found->is_string() ? found->get<std::string>() : "";
    };
    auto seen = one.find("seen");
    auto is_default = one.find("default");
    std::string address = word("address"), hex = word("capabilities");
    Server server;
    server.version = word("version").substr(0, kVersionMost);
    server.plugin = word("plugin").substr(0, kVersionMost);
    auto [end, error] =
        std::from_chars(hex.data(), hex.data() + hex.size(), server.capabilities, 16);
    if (address.empty() || address.size() > 128 || error != std::errc() ||
        end != hex.data() + hex.size() || ReadVersion(server.version).number == 0 ||
        seen == one.end() || !seen->is_number_integer()) {
      continue;
    }
    server.is_default =
        is_default != one.end() && is_default->is_boolean() && is_default->get<bool>();
    server.seen = seen->get<int64_t>();
    if (server.seen > now || now - server.seen > kForgotten) continue;
    servers.emplace(std::move(address), std::move(server));
  }
  return {.value = std::move(servers)};
}

const Fleet::Sight& Fleet::View::Look(Fleet& fleet) {
  if (generation_ != fleet.generation_.load(std::memory_order_acquire)) {
    std::lock_guard lock(fleet.mutex_);
    sight_ = fleet.sight_;
    generation_ = fleet.generation_.load(std::memory_order_relaxed);
  }
  return *sight_;
}

Fleet::Fleet(Log log, Keep keep)
    : sight_(std::make_shared<Sight>()), log_(std::move(log)), keep_(std::move(keep)) {}

void Fleet::Remember(std::string_view text, int64_t now) {
  Parsed<Servers> parsed = ReadServers(text, now);
  std::lock_guard lock(mutex_);
  if (!parsed.ok()) {
    log_(RUM_LOG_WARNING, std::string("what was kept of the servers is not used: ") + parsed.why);
    return;
  }
  if (parsed.value.empty() || !sight_->servers.empty()) return;
  kept_ = now;
  Publish(std::move(parsed.value), "so they were before the start");
}

void Fleet::Saw(View& view, std::string_view address, const Greeting& greeting,
                std::optional<bool> is_default, int64_t now) {
  const Servers& servers = view.Look(*this).servers;
  auto known = servers.find(address);
  Server server{.version = greeting.version.substr(0, kVersionMost),
                .capabilities = greeting.capabilities,
                .plugin = greeting.plugin.substr(0, kVersionMost),
                .is_default = false,
                .seen = now};
  if (known != servers.end()) {
    server.is_default = is_default.value_or(known->second.is_default);
    if (known->second.SameAs(server) && known->second.is_default == server.is_default &&
        now - known->second.seen < kFresh && now >= known->second.seen) {
      return;
    }
  } else {
    server.is_default = is_default.value_or(false);
  }
  if (ReadVersion(server.version).number == 0) return;
  Learn(std::string(address), std::move(server), now);
}

void Fleet::Learn(const std::string& address, Server server, int64_t now) {
  std::lock_guard lock(mutex_);
  Servers servers = sight_->servers;
  bool changed = std::erase_if(servers, [now](const auto& one) {
                   return now - one.second.seen > kForgotten;
                 }) != 0;
  auto known = servers.find(address);
  if (known == servers.end() && servers.size() >= kServersMost) {
    servers.erase(std::min_element(servers.begin(), servers.end(),
                                   [](auto& a, auto& b) { return a.second.seen < b.second.seen; }));
  }
  changed |= known == servers.end() || !known->second.SameAs(server);
  std::string because = address + " is " + Shown(server.version);
  servers.insert_or_assign(address, std::move(server));
  Publish(std::move(servers), because);
  if (changed || now - kept_ > kKeepAgain) {
    kept_ = now;
    keep_(WriteServers(sight_->servers));
  }
}

// With the lock held.
void Fleet::Publish(Servers servers, const std::string& because) {
  auto sight = std::make_shared<Sight>();
  sight->promise = PromiseOf(servers);
  sight->mixed = AreMixed(servers);
  sight->servers = std::move(servers);
  if (sight->promise && sight->promise != sight_->promise) {
    log_(RUM_LOG_INFO, "clients are greeted with version " + sight->promise->version +
                           " and capabilities " + HexOf(sight->promise->capabilities) +
                           " from now on: " + because);
  }
  if (sight->mixed && !sight_->mixed) {
    bool mariadb = ReadVersion(sight->promise->version).mariadb;
    log_(RUM_LOG_WARNING,
         std::string("there are servers of MySQL and of MariaDB behind this rum, and clients are "
                     "greeted as by ") +
             FamilyName(mariadb) +
             ": some drivers choose their SQL by that; run one rum for each family");
  }
  sight_ = std::move(sight);
  generation_.fetch_add(1, std::memory_order_release);
}

}  // namespace rum::mysql
