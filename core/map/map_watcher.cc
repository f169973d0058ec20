#include "map/map_watcher.h"

#include <atomic>
#include <utility>

#include "map/map_destinations.h"

namespace rum {
namespace {

// More servers are not reported.
constexpr size_t kDestinationsMost = 4096;

}  // namespace

struct MapWatcher::Loaded {
  std::shared_ptr<const MapFile> map;
  std::vector<std::string> destinations;
};

MapWatcher::MapWatcher(event_base* base, std::string path, OnMap on_map, OnError on_error,
                       std::chrono::milliseconds interval)
    : on_map_(std::move(on_map)),
      watcher_(
          base, std::move(path), "map",
          [](const std::string& file,
             const std::atomic<bool>& stop) -> Result<FileWatcher::Loaded> {
            auto map = MapFile::Load(file, &stop);
            if (!map) return map.error();
            const FileStamp stamp = (*map)->stamp();
            auto destinations = DestinationsOf(**map, kDestinationsMost, &stop);
            return FileWatcher::Loaded{
                std::make_shared<const Loaded>(Loaded{std::move(*map), std::move(destinations)}),
                stamp};
          },
          [this](std::shared_ptr<const void> value) {
            current_ = std::static_pointer_cast<const Loaded>(std::move(value));
            // Shares the ownership of `current_`, which the watcher's thread is the last to hold.
            on_map_({current_, current_->map.get()});
          },
          std::move(on_error), interval) {}

const std::vector<std::string>& MapWatcher::destinations() const {
  static const std::vector<std::string> none;
  return current_ ? current_->destinations : none;
}

}  // namespace rum
