// Follows the map's file: notices a new version within two seconds, loads it on a thread of its
// own, and hands it to the main loop. A bad version is told once, and the last good one stays.
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

// What happened so far; for statistics. Times are in seconds since 1970, 0: never.
struct MapWatchStats {
  uint64_t loads = 0;
  uint64_t failures = 0;     // bad versions, each once, and again at check_now()
  int64_t loaded_at = 0;     // when the map in use was loaded
  uint64_t load_micros = 0;  // how long that took
  int64_t failed_at = 0;
  std::string last_error;  // empty when the last attempt succeeded
};

class MapWatcher {
 public:
  using OnMap = std::function<void(std::shared_ptr<const MapFile>)>;
  using OnError = std::function<void(const Error&)>;

  // [main] Both callbacks come on the thread that runs `base`. Make it after fork(): the thread it
  // starts does not survive one. `interval` is how often the file is looked at.
  MapWatcher(event_base* base, std::string path, OnMap on_map, OnError on_error,
             std::chrono::milliseconds interval = std::chrono::milliseconds(500));
  // [main] Waits for the thread, which gives up a load under way; no callback comes after it.
  ~MapWatcher();
  MapWatcher(const MapWatcher&) = delete;
  MapWatcher& operator=(const MapWatcher&) = delete;

  // [main] Once. Loads the file in the calling thread, before the loop runs: one of the callbacks
  // comes before it returns. A file that is missing or bad is no failure here, it may come later.
  // Fails only when the machine gives no thread or descriptor.
  Status Start();

  // [main] Looks now, and tries again a version that failed. For SIGHUP. `done` comes when that is
  // over, on the main loop and behind the other callbacks, or never when this is destroyed before.
  void check_now(std::function<void()> done = {});

  // [main]
  const MapWatchStats& stats() const { return stats_; }
  // [main] The addresses in the map in use, see map_destinations.h; known when on_map is called.
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
  std::deque<std::function<void()>> asked_;  // of check_now(), in order
  std::unique_ptr<Thread> thread_;
};

}  // namespace rum
