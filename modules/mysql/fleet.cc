#include "mysql/fleet.h"

#include <rum/module.h>

#include <algorithm>
#include <charconv>
#include <iterator>
#include <nlohmann/json.hpp>
#include <utility>

#include "mysql/capabilities.h"

namespace rum::mysql {
namespace {

// What was kept is used for so long.
constexpr int64_t kKeptFor = 24 * 3600;
// Seconds after which logins report again that a server greets as before.
constexpr int64_t kReportedFor = 300;
constexpr int64_t kLookThroughAgain = 60;
constexpr int64_t kKeepAgain = 3600;
constexpr int64_t kWarnAgain = 3600;
constexpr int kBudget = 5;
constexpr size_t kFileMost = 1 << 20;  // of rum.state
constexpr size_t kVersionsShown = 50;

constexpr size_t kVersionMost = 60;  // what clients reserve for it
constexpr size_t kAddressMost = 128;
constexpr uint64_t kAlways = kLongPassword | kProtocol41 | kSecureConnection;
constexpr char kFormat[] = "rum-mysql-fleet-1";
constexpr uint32_t kFirstUtf8Mb4 = 50503;
constexpr uint8_t kUtf8 = 33;
constexpr uint8_t kUtf8Mb4 = 45;

// The first versions with authentication plugins, which relaying logins requires.
constexpr uint32_t kFirstMySql = 50507;
constexpr uint32_t kFirstMariaDb = 50500;
// One outlier among so many servers does not change the version.
constexpr size_t kOutlier = 100;

// Clients and servers that disagree about one of these misread each other; the same happens to a
// client that was offered less than kFloor, for the fields of its packets.
constexpr uint64_t kOfAll =
    kDeprecateEof | kSessionTrack | kProgress | kChangesWhatFollows | kCompresses | kFloor;

// Servers add names of systems and packages to it: clients see only the characters of a version.
std::string Shown(std::string_view version) {
  auto end = std::find_if(version.begin(), version.end(), [](char c) {
    return !((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
             c == '.' || c == '-' || c == '_' || c == '+' || c == '~' || c == ':');
  });
  return std::string(version.begin(), end).substr(0, kVersionMost);
}

const char* FamilyName(bool mariadb) { return mariadb ? "MariaDB" : "MySQL"; }

ServerVersion VersionOf(const Server& server) {
  return rum::mysql::VersionOf(server.version, server.capabilities);
}

template <class Map, class Key>
void Change(Map* map, const Key& key, int by) {
  auto at = map->try_emplace(key, 0).first;
  at->second += static_cast<size_t>(by);
  if (at->second == 0) map->erase(at);
}

// The most frequent value.
template <class Map>
const typename Map::key_type* MostOf(const Map& map) {
  auto most = std::max_element(map.begin(), map.end(),
                               [](auto& a, auto& b) { return a.second < b.second; });
  return most != map.end() ? &most->first : nullptr;
}

template <class Map>
const typename Map::key_type* Choose(const Map& defaults, const Map& all) {
  return defaults.size() == 1 ? &defaults.begin()->first : MostOf(all);
}

size_t HashOf(const Server& server) {
  size_t hash = std::hash<std::string>()(server.version);
  for (size_t part : {std::hash<std::string>()(server.plugin),
                      std::hash<uint64_t>()(server.capabilities), size_t{server.charset}}) {
    hash = hash * 31 + part;
  }
  return hash;
}

int64_t TimeToForget(const Server& server) {
  if (server.interval == 0) return Fleet::kForgotten;
  return std::clamp(3 * server.interval, Fleet::kForgottenLeast, kKeptFor);
}

}  // namespace

bool IsSupported(const Server& server) {
  ServerVersion version = VersionOf(server);
  if (version.number == 0) return false;
  if (server.is_default) return true;
  return version.number >= (version.mariadb ? kFirstMariaDb : kFirstMySql) &&
         (server.capabilities & kFloor) == kFloor;
}

void Census::Count(const Server& server, int by) {
  if (!IsSupported(server)) {
    unsupported_ += static_cast<size_t>(by);
    return;
  }
  ServerVersion version = VersionOf(server);
  Family& family = families_[version.mariadb];
  for (Group* group : {&family.all, &family.defaults}) {
    if (group == &family.defaults && !server.is_default) continue;
    group->all += static_cast<size_t>(by);
    Change(&group->versions, std::pair(version.number, Shown(server.version)), by);
    Change(&group->plugins, server.plugin, by);
    // A server can be set to one that clients may not use; some clients would adopt it.
    if (server.charset != 0 && CharsetOfNoClient(server.charset).empty()) {
      Change(&group->charsets, server.charset, by);
    }
  }
  all_ += static_cast<size_t>(by);
  // Checked by version, too: some servers offer a faulty DEPRECATE_EOF. The configuration decides
  // whether compression is offered.
  uint64_t has = (server.capabilities | kAlways) & (OfferedCapabilities(version) | kCompresses);
  for (size_t bit = 0; bit < 64; ++bit) {
    if (has >> bit & 1) having_[bit] += static_cast<size_t>(by);
  }
}

bool Census::is_mariadb() const {
  const Family& mysql = families_[0];
  const Family& mariadb = families_[1];
  if ((mysql.defaults.all == 0) != (mariadb.defaults.all == 0)) return mariadb.defaults.all != 0;
  return mariadb.all.all >= mysql.all.all;
}

bool Census::mixed() const { return families_[0].all.all && families_[1].all.all; }

std::optional<Promise> Census::promise() const {
  if (all_ == 0) return std::nullopt;
  const Family& family = families_[is_mariadb()];
  Promise promise;
  size_t passed = 0;
  for (const auto& [version, count] : family.all.versions) {
    promise.version = version.second;
    passed += count;
    if (passed > family.all.all / kOutlier) break;
  }
  promise.capabilities = kAlways;
  for (size_t bit = 0; bit < 64; ++bit) {
    uint64_t flag = uint64_t{1} << bit;
    bool promised = kOfAll & flag ? having_[bit] == all_ : 2 * having_[bit] >= all_;
    if (promised) promise.capabilities |= flag;
  }
  if (const uint8_t* charset = Choose(family.defaults.charsets, family.all.charsets)) {
    promise.charset = *charset;
  } else {
    promise.charset = family.all.versions.begin()->first.first < kFirstUtf8Mb4 ? kUtf8 : kUtf8Mb4;
  }
  const std::string* plugin = Choose(family.defaults.plugins, family.all.plugins);
  if (plugin != nullptr && *plugin == kCachingSha2Plugin) promise.plugin = *plugin;
  return promise;
}

std::string WriteServers(const Servers& servers) {
  nlohmann::ordered_json json = {{"format", kFormat}, {"servers", nlohmann::json::array()}};
  size_t size = 100;
  for (const auto& [address, server] : servers) {
    size += 200 + address.size() + 2 * (server.version.size() + server.plugin.size());
    if (size > kFileMost) break;
    json["servers"].push_back({{"address", address},
                               {"version", server.version},
                               {"capabilities", HexOf(server.capabilities)},
                               {"plugin", server.plugin},
                               {"charset", server.charset},
                               {"default", server.is_default},
                               {"seen", server.seen},
                               {"interval", server.interval}});
  }
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

Parsed<Servers> ReadServers(std::string_view text, int64_t now) {
  auto json = nlohmann::json::parse(text, nullptr, false);
  if (!json.is_object() || json.value("format", nlohmann::json()) != kFormat ||
      !json.contains("servers") || !json["servers"].is_array()) {
    return {.value = {}, .why = "it is from another program or version"};
  }
  Servers servers;
  for (const auto& one : json["servers"]) {
    if (!one.is_object() || servers.size() >= Fleet::kServersMost) continue;
    auto word = [&](const char* name) -> std::string {
      auto found = one.find(name);
      return found != one.end() && found->is_string() ? found->get<std::string>() : "";
    };
    // -1: missing, or too large for a time or a character set number.
    auto number = [&](const char* name, uint64_t most) -> int64_t {
      auto found = one.find(name);
      if (found == one.end() || !found->is_number_unsigned()) return -1;
      auto value = found->get<uint64_t>();
      return value <= most ? static_cast<int64_t>(value) : -1;
    };
    auto is_default = one.find("default");
    std::string address = word("address"), hex = word("capabilities");
    Server server;
    server.version = word("version").substr(0, kVersionMost);
    server.plugin = word("plugin").substr(0, kVersionMost);
    auto [end, error] =
        std::from_chars(hex.data(), hex.data() + hex.size(), server.capabilities, 16);
    server.seen = number("seen", INT64_MAX);
    if (address.empty() || address.size() > kAddressMost || error != std::errc() ||
        end != hex.data() + hex.size() || VersionOf(server).number == 0 || server.seen < 0 ||
        server.seen > now || now - server.seen > kKeptFor) {
      continue;
    }
    server.charset = static_cast<uint8_t>(std::max<int64_t>(number("charset", 255), 0));
    server.interval = std::max<int64_t>(number("interval", kKeptFor), 0);
    server.is_default =
        is_default != one.end() && is_default->is_boolean() && is_default->get<bool>();
    servers.emplace(std::move(address), std::move(server));
  }
  return {.value = std::move(servers)};
}

const Fleet::Snapshot& Fleet::View::Look(Fleet& fleet) {
  if (generation_ != fleet.generation_.load(std::memory_order_acquire)) {
    std::lock_guard lock(fleet.snapshot_mutex_);
    snapshot_ = fleet.snapshot_;
    generation_ = fleet.generation_.load(std::memory_order_relaxed);
  }
  return *snapshot_;
}

Fleet::Fleet(Log log, Keep keep)
    : snapshot_(std::make_shared<Snapshot>()), log_(std::move(log)), keep_(std::move(keep)) {}

bool Fleet::Budget::Take(int64_t now) {
  if (now - minute >= 60 || now < minute) *this = {.minute = now, .used = 0};
  return used < kBudget && ++used;
}

void Fleet::Remember(std::string_view text, int64_t now) {
  Parsed<Servers> parsed = ReadServers(text, now);
  std::lock_guard lock(mutex_);
  if (!parsed.ok()) {
    log_(RUM_LOG_WARNING, std::string("the saved list of servers is not used: ") + parsed.why);
    return;
  }
  if (parsed.value.empty() || !servers_.empty()) return;
  for (auto& [address, server] : parsed.value) {
    census_.Add(server);
    int64_t expires = now + TimeToForget(server);
    servers_.emplace(address, Known{.server = std::move(server), .expires = expires});
  }
  kept_ = now;
  Publish("as saved before the start", now);
}

void Fleet::Saw(View& view, std::string_view address, const Greeting& greeting,
                std::optional<bool> is_default, int64_t now) {
  Server server{.version = greeting.version.substr(0, kVersionMost),
                .capabilities = greeting.capabilities,
                .plugin = greeting.plugin.substr(0, kVersionMost),
                .charset = greeting.charset,
                .seen = now};
  if (VersionOf(server).number == 0 || address.size() > kAddressMost) return;
  size_t hash = HashOf(server);
  auto reported = view.reported_.find(address);
  if (reported == view.reported_.end()) {
    if (view.reported_.size() >= kServersMost) view.reported_.clear();
    reported = view.reported_.emplace(address, View::Reported{}).first;
  } else if (bool fresh = now >= reported->second.at && now - reported->second.at < kReportedFor;
             !is_default && fresh && reported->second.hash == hash) {
    return;
  }
  reported->second = {.hash = hash, .at = now};
  if (!Learn(address, std::move(server), is_default, now)) view.reported_.erase(reported);
}

bool Fleet::Learn(std::string_view address, Server server, std::optional<bool> is_default,
                  int64_t now) {
  bool keeps = false, taken = false;
  {
    std::lock_guard lock(mutex_);
    std::string because = std::string(address) + " is " + Shown(server.version);
    bool forgot = Forget(now);
    bool changed = Enter(address, server, is_default, now);
    auto known = servers_.find(address);
    taken = known != servers_.end() && known->second.server.SameAs(server);
    if (forgot && !changed) because = "servers without contact are forgotten";
    if (changed || forgot || line_due_) Publish(because, now);
    file_due_ |= changed || forgot || now - kept_ > kKeepAgain;
    keeps = file_due_ && files_.Take(now);
    if (keeps) {
      file_due_ = false;
      kept_ = now;
    }
  }
  if (keeps) {
    std::lock_guard lock(keep_mutex_);
    keep_(WriteServers(Copy()));
  }
  return taken;
}

// Requires the lock, as do the next functions. Returns whether something in it is new.
bool Fleet::Enter(std::string_view address, Server server, std::optional<bool> is_default,
                  int64_t now) {
  auto at = servers_.find(address);
  bool is_new = at == servers_.end();
  if (is_new) {
    if (servers_.size() >= kServersMost) return false;
    at = servers_.emplace(address, Known{}).first;
  }
  Known& known = at->second;
  server.is_default = is_default.value_or(known.server.is_default);
  server.interval = known.server.interval;
  if (is_default) {
    if (known.probed != 0 && now > known.probed) server.interval = now - known.probed;
    known.probed = now;
  }
  bool settled = now - known.changed >= kChangeAgain || now < known.changed;
  bool differs = is_new || (!known.server.SameAs(server) && settled);
  if (!differs && server.is_default == known.server.is_default) {
    known.server.interval = server.interval;
    known.server.seen = now;
    known.expires = now + TimeToForget(known.server);
    return false;
  }
  if (!is_new) census_.Remove(known.server);
  if (differs) {
    known.changed = now;
    known.server = std::move(server);
  } else {
    known.server.is_default = server.is_default;
    known.server.interval = server.interval;
    known.server.seen = now;
  }
  census_.Add(known.server);
  known.expires = now + TimeToForget(known.server);
  return true;
}

// Returns whether something was forgotten.
bool Fleet::Forget(int64_t now) {
  if (now - looked_through_ < kLookThroughAgain && now >= looked_through_) return false;
  looked_through_ = now;
  bool any = false;
  for (auto at = servers_.begin(); at != servers_.end();) {
    Known& known = at->second;
    known.expires = std::min(known.expires, now + TimeToForget(known.server));  // clock set back
    bool goes = now > known.expires;
    if (goes) census_.Remove(known.server);
    at = goes ? servers_.erase(at) : std::next(at);
    any |= goes;
  }
  return any;
}

void Fleet::Publish(const std::string& because, int64_t now) {
  auto next = std::make_shared<Snapshot>();
  next->promise = census_.promise();
  next->mixed = census_.mixed();
  bool says = next->promise && (line_due_ || next->promise != snapshot_->promise);
  if (says) line_due_ = !lines_.Take(now);
  if (says && !line_due_) {
    log_(RUM_LOG_INFO, "clients are greeted with version " + next->promise->version +
                           ", capabilities " + HexOf(next->promise->capabilities) +
                           ", character set " + std::to_string(next->promise->charset) + " and " +
                           next->promise->plugin + " from now on: " + because);
  }
  if (next->mixed && !snapshot_->mixed &&
      (warned_mixed_ == 0 || now - warned_mixed_ >= kWarnAgain)) {
    warned_mixed_ = now;
    log_(RUM_LOG_WARNING,
         std::string("there are servers of MySQL and of MariaDB behind this rum, and clients are "
                     "greeted as by ") +
             FamilyName(census_.is_mariadb()) +
             ": some drivers choose their SQL by that; run one rum for each family");
  }
  if (*next == *snapshot_) return;
  std::lock_guard lock(snapshot_mutex_);
  snapshot_ = std::move(next);
  generation_.fetch_add(1, std::memory_order_release);
}

Servers Fleet::Copy() {
  std::lock_guard lock(mutex_);
  Servers servers;
  for (const auto& [address, known] : servers_) {
    servers.emplace_hint(servers.end(), address, known.server);
  }
  return servers;
}

Fleet::Summary Fleet::Summarize() {
  std::lock_guard lock(mutex_);
  Summary summary{.servers = servers_.size(), .unsupported = census_.unsupported(), .versions = {}};
  for (const auto& [address, known] : servers_) {
    std::string version = Shown(known.server.version);
    if (summary.versions.size() < kVersionsShown || summary.versions.contains(version)) {
      ++summary.versions[version];
    }
  }
  return summary;
}

}  // namespace rum::mysql
