// Watches the map's file (see base/file_watcher.h), and knows the servers of the current map.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/file_watcher.h"
#include "base/result.h"
#include "map/map_file.h"

struct event_base;

namespace rum {

using MapWatchStats = FileWatchStats;

class MapWatcher {
 public:
  using OnMap = std::function<void(std::shared_ptr<const MapFile>)>;
  using OnError = FileWatcher::OnError;

  // [main] As FileWatcher's; and these below.
  MapWatcher(event_base* base, std::string path, OnMap on_map, OnError on_error,
             std::chrono::milliseconds interval = std::chrono::milliseconds(500));
  Status Start() { return watcher_.Start(); }
  void check_now(std::function<void()> done = {}) { watcher_.check_now(std::move(done)); }

  const MapWatchStats& stats() const { return watcher_.stats(); }
  // The addresses of the current map, see map_destinations.h; set before on_map is called.
  const std::vector<std::string>& destinations() const;

 private:
  struct Loaded;

  const OnMap on_map_;
  std::shared_ptr<const Loaded> current_;
  FileWatcher watcher_;
};

}  // namespace rum
