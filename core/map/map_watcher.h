// Watches the map's file: detects a new version within two seconds, loads it on a separate thread
// and passes it to the main loop. A bad version is reported once; the last good one stays in use.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "map/map_file.h"

struct event_base;

namespace rum {

// Statistics. Times are in seconds since 1970, 0: never.
struct MapWatchStats {
  uint64_t loads = 0;
  uint64_t failures = 0;     // bad versions; again counted on check_now()
  int64_t loaded_at = 0;     // when the current map was loaded
  uint64_t load_micros = 0;  // duration of that load
  int64_t failed_at = 0;
  std::string last_error;  // empty when the last attempt succeeded
};

class MapWatcher {
 public:
  using OnMap = std::function<void(std::shared_ptr<const MapFile>)>;
  using OnError = std::function<void(const Error&)>;

  // [main] Both callbacks run on the thread of `base`. Construct after fork(), since it starts a
  // thread. `interval`: time between looks at the file.
  MapWatcher(event_base* base, std::string path, OnMap on_map, OnError on_error,
             std::chrono::milliseconds interval = std::chrono::milliseconds(500));
  // [main] Aborts a load in progress and waits for the thread; no callback runs afterwards.
  ~MapWatcher();
  MapWatcher(const MapWatcher&) = delete;
  MapWatcher& operator=(const MapWatcher&) = delete;

  // [main] Call once. Loads the file synchronously, before the loop runs: calls one of the
  // callbacks before it returns. A missing or bad file is not an error here, since it can appear
  // later. Fails only if no thread or descriptor is available.
  Status Start();

  // [main] For SIGHUP: looks now and retries a failed version. `done` runs on the main loop after
  // the other callbacks, or never if this is destroyed first.
  void check_now(std::function<void()> done = {});

  // [main]
  const MapWatchStats& stats() const { return stats_; }
  // [main] The addresses of the current map, see map_destinations.h; set before on_map is called.
  const std::vector<std::string>& destinations() const { return destinations_; }

 private:
  class Thread;
  struct Outcome;

  void Take();
  void Apply(Outcome outcome);

  event_base* const base_;
  const std::string path_;
  const OnMap on_map_;
  const OnError on_error_;
  const std::chrono::milliseconds interval_;
  MapWatchStats stats_;
  std::vector<std::string> destinations_;
  std::deque<std::function<void()>> asked_;  // callbacks of check_now(), in order
  std::unique_ptr<Thread> thread_;
};

}  // namespace rum
