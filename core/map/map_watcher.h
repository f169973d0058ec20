// Watches the map's files (see base/file_watcher.h), the CDB and the journal beside it, and knows
// the servers of the current map.
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

  // [main] As FileWatcher's; and these below. `interval`: of the CDB; the journal is looked at ten
  // times a second at least. Both errors go to `on_error`.
  MapWatcher(event_base* base, std::string path, OnMap on_map, OnError on_error,
             std::chrono::milliseconds interval = std::chrono::milliseconds(500));
  Status Start();
  void check_now(std::function<void()> done = {});

  const MapWatchStats& stats() const { return watcher_.stats(); }  // of the CDB
  // When changes of the journal were last applied, in seconds since 1970; 0: never.
  int64_t changed_at() const { return changed_at_; }
  // What is wrong with the journal; empty: nothing.
  std::string journal_error() const;
  // The addresses of the current map, see map_destinations.h; set before on_map is called.
  const std::vector<std::string>& destinations() const;

 private:
  struct Loaded;
  struct Latest;

  void TakeCdb(std::shared_ptr<const Loaded> loaded);
  void TakeChanges(std::shared_ptr<const Loaded> loaded);
  void Use(std::shared_ptr<const Loaded> loaded);

  const OnMap on_map_;
  const std::shared_ptr<Latest> latest_;
  std::shared_ptr<const Loaded> current_;
  int64_t changed_at_ = 0;
  FileWatcher watcher_;
  FileWatcher journal_;
};

}  // namespace rum
