// Watches a file: detects a new version within two seconds, loads it on a separate thread and
// passes it to the main loop. A bad version is reported once; the last good one stays in use.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>

#include "base/file_stamp.h"
#include "base/result.h"

struct event_base;

namespace rum {

// Statistics. Times are in seconds since 1970, 0: never.
struct FileWatchStats {
  uint64_t loads = 0;
  uint64_t failures = 0;     // bad versions; again counted on check_now()
  int64_t loaded_at = 0;     // when the current version was loaded
  uint64_t load_micros = 0;  // duration of that load
  int64_t failed_at = 0;
  std::string last_error;  // empty when the last attempt succeeded
};

class FileWatcher {
 public:
  struct Loaded {
    std::shared_ptr<const void> value;
    FileStamp stamp;  // of the version that was read
  };
  // [helper], or [main] in Start(). Setting `stop` aborts it.
  using Load =
      std::function<Result<Loaded>(const std::string& path, const std::atomic<bool>& stop)>;
  enum class Kind : uint8_t {
    kReplaced,  // a version is whole, once it does not change for two looks
    kAppended,  // each look may load what is there, and a file that does not exist is empty
  };
  using OnLoaded = std::function<void(std::shared_ptr<const void>)>;
  using OnError = std::function<void(const Error&)>;

  // [main] Both callbacks run on the thread of `base`. Construct after fork(), since it starts a
  // thread. `noun`: what the file holds, for errors. `interval`: time between looks at the file.
  FileWatcher(event_base* base, std::string path, std::string noun, Load load, OnLoaded on_loaded,
              OnError on_error, std::chrono::milliseconds interval = std::chrono::milliseconds(500),
              Kind kind = Kind::kReplaced);
  // [main] Aborts a load in progress and waits for the thread; no callback runs afterwards.
  ~FileWatcher();
  FileWatcher(const FileWatcher&) = delete;
  FileWatcher& operator=(const FileWatcher&) = delete;

  // [main] Call once. Loads the file synchronously, before the loop runs: calls one of the
  // callbacks before it returns. A missing or bad file is not an error here, since it can appear
  // later. Fails only if no thread or descriptor is available.
  Status Start();

  // [main] For SIGHUP: looks now and retries a failed version. `done` runs on the main loop after
  // the other callbacks, or never if this is destroyed first.
  void check_now(std::function<void()> done = {});

  // [main] Loads the file at the next look, even if it has not changed.
  void Forget();

  // [main]
  const FileWatchStats& stats() const { return stats_; }

 private:
  class Thread;
  struct Outcome;

  void Take();
  void Apply(Outcome outcome);

  event_base* const base_;
  const std::string noun_;
  const OnLoaded on_loaded_;
  const OnError on_error_;
  FileWatchStats stats_;
  std::deque<std::function<void()>> asked_;  // callbacks of check_now(), in order
  std::unique_ptr<Thread> thread_;
};

}  // namespace rum
