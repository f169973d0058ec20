// Watches the file of --geo-db (see base/file_watcher.h).
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "base/file_watcher.h"
#include "base/result.h"
#include "geo/geo_database.h"

struct event_base;

namespace rum {

class GeoWatcher {
 public:
  // [main] As FileWatcher's; and these below. `on_change` runs when current() has become
  // another one, but not in Start().
  GeoWatcher(event_base* base, std::string path, std::function<void()> on_change,
             FileWatcher::OnError on_error,
             std::chrono::milliseconds interval = std::chrono::milliseconds(500));
  // Unlike a user map, the database must be there at the start: rules depend on it.
  Status Start();
  void check_now(std::function<void()> done = {}) { watcher_.check_now(std::move(done)); }

  const FileWatchStats& stats() const { return watcher_.stats(); }
  const std::shared_ptr<const GeoDatabase>& current() const { return current_; }

 private:
  std::shared_ptr<const GeoDatabase> current_;
  bool started_ = false;
  std::string first_error_;
  FileWatcher watcher_;
};

}  // namespace rum
