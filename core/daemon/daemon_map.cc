// The daemon's user map and country database: what is watched, and what is said of it.
#include <fmt/format.h>
#include <time.h>

#include <algorithm>
#include <utility>

#include "admin/map_sources.h"
#include "base/log.h"
#include "base/units.h"
#include "daemon/daemon.h"
#include "lookup/remote_map.h"
#include "map/column.h"
#include "map/map_file.h"

namespace rum {
namespace {

constexpr uint64_t kMapLines = 1000;  // ms: how often changes of the map are logged at most

std::string DateOf(int64_t seconds) {
  const time_t time = seconds;
  tm t;
  char text[32] = "";
  return ::gmtime_r(&time, &t) && ::strftime(text, sizeof text, "%F", &t) ? text : "?";
}

}  // namespace

std::vector<std::string> Complaints(const MapFile& map, bool has_countries) {
  std::vector<std::string> all;
  const MapRulesCount& rules = map.rules();
  if (rules.refused) {
    all.push_back(
        fmt::format("{} cannot log in because the rules of their records cannot be read "
                    "(rum-map check lists them): {}",
                    Counted(rules.refused, "user"), rules.first_refused));
  }
  if (rules.needing_countries && !has_countries) {
    all.push_back(
        fmt::format("{} cannot log in because their rules name countries and --geo-db is not "
                    "given",
                    Counted(rules.needing_countries, "user")));
  }
  if (const uint64_t ignored = rules.with_countries - rules.needing_countries;
      ignored && !has_countries) {
    all.push_back(
        fmt::format("the country rules of {} are not enforced because --geo-db is not given",
                    Counted(ignored, "user")));
  }
  if (map.alike() >= kManyAlike) {
    all.push_back(
        fmt::format("{} names have the same hash, such as {}: each lookup of one compares all of "
                    "them; somebody may have chosen them to slow rum down",
                    map.alike(), QuoteBytes(map.alike_user())));
  }
  return all;
}

Status Daemon::WatchMap() {
  if (settings_->map.empty()) return Ok();
  watcher_ = std::make_unique<MapWatcher>(
      base_, settings_->map, [this](std::shared_ptr<const MapFile> map) { UseMap(std::move(map)); },
      [](const Error& error) { log::Error("{}", error.text); });
  if (auto started = watcher_->Start(); !started) return started;
  // Without its map a process cannot serve; the process that it takes over from still can.
  if (origin_.has_map && watcher_->stats().loads == 0) {
    return Error{Fault::kMap, watcher_->stats().last_error};
  }
  return Ok();
}

void Daemon::UseMap(std::shared_ptr<const MapFile> map) {
  const auto before = proxy_->map();
  const bool loaded = !before || before->cdb() != map->cdb();
  if (loaded) {
    log::Info("{}: the map is loaded, {}", settings_->map, Counted(map->records(), "record"));
    for (const std::string& text : Complaints(*map, geo_ != nullptr)) {
      log::Warning("{}: {}", settings_->map, text);
    }
  }
  if (map->changes() && NowMillis() >= next_map_line_) {
    next_map_line_ = NowMillis() + kMapLines;
    log::Info("{}: its journal has changes of {}, the last is number {}", settings_->map,
              Counted(map->changes(), "user"), map->sequence());
  }
  if (!loaded && before->changes() && !map->changes()) {
    log::Warning("{}: its journal is gone: the changes of {} apply no more", settings_->map,
                 Counted(before->changes(), "user"));
  }
  if (const std::string& fault = map->journal_warning();
      !fault.empty() && (loaded || fault != before->journal_warning())) {
    log::Warning("{}", fault);
  }
  proxy_->SetMap(std::move(map));
  SetDestinations();
}

Status Daemon::StartRemoteMap() {
  RemoteMap* remote = proxy_->remote_map();
  if (!remote) return Ok();
  return remote->Start([this](std::vector<std::string> servers) {
    proxy_->main_queue().Post([this, servers = std::move(servers)]() mutable {
      remote_destinations_ = std::move(servers);
      SetDestinations();
    });
  });
}

// Whether the first answer of a source is still to come, which a process that takes over needs.
bool Daemon::AwaitsMap() const {
  if (HasTheMapOfBefore()) return false;
  const auto longest = settings_->map_timeout + settings_->dns_timeout;
  if (NowMillis() - started_ >= static_cast<uint64_t>(longest.count())) return false;
  const auto states = proxy_->remote_map()->States();
  return std::any_of(states.begin(), states.end(), [](const auto& one) { return !one.known; });
}

// The process before has users in its cache although no source answers; this one has none. A file
// was judged by WatchMap().
Status Daemon::HasTheMapOfBefore() const {
  if (!origin_.takes_over || !origin_.has_map || watcher_) return Ok();
  std::string why = WhyNoSource(*proxy_);
  return why.empty() ? Ok() : Status(Error{Fault::kMap, std::move(why)});
}

// The servers that the file names, and those of the records that other sources have answered.
void Daemon::SetDestinations() {
  map_destinations_ = watcher_ ? watcher_->destinations() : std::vector<std::string>();
  map_destinations_.insert(map_destinations_.end(), remote_destinations_.begin(),
                           remote_destinations_.end());
  prober_->SetMapDestinations(map_destinations_);
}

Result<std::unique_ptr<GeoWatcher>> Daemon::WatchGeo(const Settings& settings) {
  const std::string& path = settings.geo_db;
  if (path.empty()) return std::unique_ptr<GeoWatcher>();
  auto geo = std::make_unique<GeoWatcher>(
      base_, path, [this] { SetGeo(); }, [](const Error& error) { log::Error("{}", error.text); });
  if (auto started = geo->Start(); !started) return started.error();
  return geo;
}

void Daemon::UseGeo(std::unique_ptr<GeoWatcher> geo) {
  geo_ = std::move(geo);
  geo_ ? SetGeo() : proxy_->SetGeo(nullptr);
}

void Daemon::SetGeo() {
  const GeoDatabase& geo = *geo_->current();
  log::Info("{}: the country database is loaded, {} ranges, made {}", settings_->geo_db,
            geo.ranges(), DateOf(geo.built_at()));
  proxy_->SetGeo(geo_->current());
}

}  // namespace rum
