#include "map/map_watcher.h"

#include <time.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <utility>

#include "map/map_destinations.h"

namespace rum {
namespace {

// More servers are not reported.
constexpr size_t kDestinationsMost = 4096;
constexpr std::chrono::milliseconds kJournalInterval(100);

}  // namespace

struct MapWatcher::Loaded {
  std::shared_ptr<const MapFile> map;  // nullptr: none was loaded yet
  MapDestinations counts;
  std::vector<std::string> destinations;
};

// The map that changes of the journal are applied to.
struct MapWatcher::Latest {
  std::shared_ptr<const Loaded> Get() {
    std::lock_guard lock(mutex);
    return loaded;
  }
  void Set(std::shared_ptr<const Loaded> next) {
    std::lock_guard lock(mutex);
    loaded.swap(next);
  }
  // Unless a new CDB has replaced it meanwhile.
  void Advance(const std::shared_ptr<const Loaded>& from, std::shared_ptr<const Loaded> next) {
    std::lock_guard lock(mutex);
    if (loaded == from) loaded.swap(next);
  }

  std::mutex mutex;
  std::shared_ptr<const Loaded> loaded = std::make_shared<Loaded>();
};

namespace {

template <class Loaded>
std::shared_ptr<const Loaded> Changed(const Loaded& from, std::shared_ptr<const MapFile> map) {
  auto next = std::make_shared<Loaded>();
  if (map->Extends(*from.map)) {
    next->counts = from.counts;
    next->counts.Change(*from.map, *map);
  } else {
    next->counts = MapDestinations::Of(*map);
  }
  next->destinations = next->counts.Addresses(kDestinationsMost);
  next->map = std::move(map);
  return next;
}

}  // namespace

MapWatcher::MapWatcher(event_base* base, std::string path, OnMap on_map, OnError on_error,
                       std::chrono::milliseconds interval)
    : on_map_(std::move(on_map)),
      latest_(std::make_shared<Latest>()),
      watcher_(
          base, path, "map",
          [](const std::string& file,
             const std::atomic<bool>& stop) -> Result<FileWatcher::Loaded> {
            auto map = MapFile::Load(file, &stop);
            if (!map) return map.error();
            auto loaded = std::make_shared<Loaded>();
            loaded->map = std::move(*map);
            loaded->counts = MapDestinations::Of(*loaded->map, &stop);
            loaded->destinations = loaded->counts.Addresses(kDestinationsMost);
            return FileWatcher::Loaded{loaded, loaded->map->stamp()};
          },
          [this](std::shared_ptr<const void> value) {
            TakeCdb(std::static_pointer_cast<const Loaded>(std::move(value)));
          },
          on_error, interval),
      journal_(
          base, JournalOf(path), "journal of the map",
          [latest = latest_](const std::string&,
                             const std::atomic<bool>&) -> Result<FileWatcher::Loaded> {
            // Not `from`: its own thread must be the last to hold it.
            auto unchanged = [] { return std::make_shared<Loaded>(); };
            auto from = latest->Get();
            if (!from->map) return FileWatcher::Loaded{unchanged(), {}};
            auto map = MapFile::Refresh(from->map);
            if (!map) return map.error();
            const FileStamp stamp = (*map)->journal_stamp();
            if (*map == from->map) return FileWatcher::Loaded{unchanged(), stamp};
            auto next = Changed(*from, std::move(*map));
            latest->Advance(from, next);
            return FileWatcher::Loaded{next, stamp};
          },
          [this](std::shared_ptr<const void> value) {
            TakeChanges(std::static_pointer_cast<const Loaded>(std::move(value)));
          },
          on_error, std::min(interval, kJournalInterval), FileWatcher::Kind::kAppended) {}

Status MapWatcher::Start() {
  auto status = watcher_.Start();
  return status ? journal_.Start() : status;
}

void MapWatcher::check_now(std::function<void()> done) {
  journal_.check_now(
      [this, done = std::move(done)]() mutable { watcher_.check_now(std::move(done)); });
}

// The journal may have grown since the CDB's thread has read it.
void MapWatcher::TakeCdb(std::shared_ptr<const Loaded> loaded) {
  latest_->Set(loaded);
  journal_.Forget();
  Use(std::move(loaded));
}

// Those to another CDB than the current one come again.
void MapWatcher::TakeChanges(std::shared_ptr<const Loaded> loaded) {
  if (!loaded->map || loaded->map->cdb() != current_->map->cdb()) return;
  changed_at_ = time(nullptr);
  Use(std::move(loaded));
}

void MapWatcher::Use(std::shared_ptr<const Loaded> loaded) {
  current_ = std::move(loaded);
  // Shares the ownership of `current_`, which a watcher's thread is the last to hold.
  on_map_({current_, current_->map.get()});
}

std::string MapWatcher::journal_error() const {
  const std::string& error = journal_.stats().last_error;
  return error.empty() && current_ ? current_->map->journal_warning() : error;
}

const std::vector<std::string>& MapWatcher::destinations() const {
  static const std::vector<std::string> none;
  return current_ ? current_->destinations : none;
}

}  // namespace rum
