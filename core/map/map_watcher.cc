#include "map/map_watcher.h"

#include <event2/event.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/fd.h"
#include "map/map_destinations.h"

namespace rum {

// The result of a load: a map or an error.
struct MapWatcher::Outcome {
  std::shared_ptr<const MapFile> map;
  Error error;
  uint64_t micros = 0;
  std::vector<std::string> destinations;
};

namespace {

// A file rewritten in place is loaded when two consecutive looks agree, or after this many looks if
// it keeps changing.
constexpr int kMaxWaits = 2;
// More servers are not reported.
constexpr size_t kDestinationsMost = 4096;
// After a system error (no memory, no descriptor), retry after this many looks.
constexpr int kLooksUntilRetry = 10;

// The result of stat(): a version of the file, or an error.
struct FileState {
  int error = 0;
  FileStamp stamp;
  bool operator==(const FileState&) const = default;
};

FileState LookAt(const std::string& path) {
  struct stat st;
  FileState file;
  if (stat(path.c_str(), &st) != 0) {
    file.error = errno;
  } else {
    file.stamp = FileStamp::From(st);
  }
  return file;
}

}  // namespace

// The helper thread: shared state and the thread's own state.
class MapWatcher::Thread {
 public:
  Thread(std::string path, std::chrono::milliseconds interval)
      : path_(std::move(path)), interval_(interval) {}

  ~Thread() {
    {
      std::lock_guard lock(mutex_);
      stop_ = true;
    }
    wake_.notify_all();
    if (thread_.joinable()) thread_.join();
    if (event_) event_free(event_);
  }

  // [main] `taken` runs on the main loop when an outcome is available.
  Status Start(event_base* base, event_callback_fn taken, void* argument) {
    ready_ = Fd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!ready_) return Failed(errno);
    event_ = event_new(base, ready_.get(), EV_READ | EV_PERSIST, taken, argument);
    if (!event_ || event_add(event_, nullptr) != 0) return Failed(ENOMEM);
    // Only the main loop handles signals.
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    Status status = Ok();
    try {
      thread_ = std::thread([this] { Run(); });
    } catch (const std::system_error& e) {
      status = Failed(e.code().value());
    }
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    return status;
  }

  // [main] `checked`: how many calls of CheckNow() were completed since the last call.
  std::optional<Outcome> Take(size_t* checked) {
    uint64_t count;
    [[maybe_unused]] ssize_t n = read(ready_.get(), &count, sizeof count);
    std::optional<Outcome> outcome;
    {
      std::lock_guard lock(mutex_);
      outcome = std::exchange(outcome_, std::nullopt);
      *checked = std::exchange(checked_, 0);
    }
    wake_.notify_all();
    return outcome;
  }

  // [main]
  void CheckNow() {
    {
      std::lock_guard lock(mutex_);
      ++checks_;
    }
    wake_.notify_all();
  }

  // [helper], or [main] before the thread starts. Looks once and returns an outcome if there is
  // something to report. `urgent`: do not wait for the file to settle, and retry a failed version.
  std::optional<Outcome> Look(bool urgent) {
    FileState file = LookAt(path_);
    const bool changed = file != seen_;
    seen_ = file;
    if (file != tried_) {
      if (MustSettle(file) && changed && !urgent && ++waits_ <= kMaxWaits) return std::nullopt;
    } else if (unreported_ && !changed) {
      return Report();
    } else if (!failed_ || !(urgent || RetryIsDue())) {
      return std::nullopt;
    }
    return Try(file, urgent, changed);
  }

 private:
  static Error Failed(int error) {
    return Error{Fault::kSystem, std::string("cannot watch the user map: ") + std::strerror(error)};
  }

  // A new inode (placed by rename) is complete. The same inode with a new time may still be being
  // written.
  bool MustSettle(const FileState& file) const {
    return file.error == 0 && tried_.error == 0 && file.stamp.inode == tried_.stamp.inode &&
           file.stamp.device == tried_.stamp.device;
  }

  bool RetryIsDue() { return looks_until_retry_ > 0 && --looks_until_retry_ == 0; }

  // If a file that just changed fails, the error is reported at the next look, if the file is still
  // the same: it may have been read in the middle of a copy.
  std::optional<Outcome> Try(const FileState& file, bool urgent, bool changed) {
    const uint64_t start = NowMicros();
    const bool again = failed_ && file == tried_;
    tried_ = file;
    waits_ = 0;
    looks_until_retry_ = 0;  // a bad file is retried only if urgent or changed
    auto map = file.error != 0 ? Error{Fault::kMap, path_ + ": " + std::strerror(file.error)}
                               : MapFile::Load(path_, &stop_);
    failed_ = !map.ok();
    unreported_.reset();
    if (map.ok()) {
      // This thread keeps a reference to each map, so that it frees them: unmapping a gigabyte
      // takes long and must not block a worker.
      handed_out_.push_back(*map);
      tried_.stamp = (*map)->stamp();  // may be newer than the version that was seen
      auto destinations = DestinationsOf(**map, kDestinationsMost, &stop_);
      return Outcome{std::move(*map), {}, NowMicros() - start, std::move(destinations)};
    }
    if (map.error().fault == Fault::kSystem) looks_until_retry_ = kLooksUntilRetry;
    const bool known = again && !urgent && map.error().text == reported_;
    if (!known) unreported_ = map.error();
    return urgent || !changed ? Report() : std::nullopt;
  }

  std::optional<Outcome> Report() {
    if (!unreported_) return std::nullopt;
    reported_ = unreported_->text;
    return Outcome{nullptr, *std::exchange(unreported_, std::nullopt), 0, {}};
  }

  // [helper]
  void Run() {
    std::unique_lock lock(mutex_);
    while (!stop_) {
      wake_.wait(lock, [this] { return stop_ || !outcome_; });
      wake_.wait_for(lock, interval_, [this] { return stop_ || checks_ > 0; });
      if (stop_) break;
      const size_t checks = std::exchange(checks_, 0);
      lock.unlock();
      std::optional<Outcome> outcome = Look(checks > 0);
      std::erase_if(handed_out_, [](const auto& map) { return map.use_count() == 1; });
      lock.lock();
      checked_ += checks;
      if ((!outcome && checks == 0) || stop_) continue;
      outcome_ = std::move(outcome);
      const uint64_t one = 1;
      [[maybe_unused]] ssize_t n = write(ready_.get(), &one, sizeof one);
    }
  }

  const std::string path_;
  const std::chrono::milliseconds interval_;
  Fd ready_;
  event* event_ = nullptr;

  // Shared. `stop_` is written under the mutex and also read without it.
  std::mutex mutex_;
  std::condition_variable wake_;
  std::atomic<bool> stop_ = false;
  size_t checks_ = 0;               // requested
  size_t checked_ = 0;              // completed, not reported yet
  std::optional<Outcome> outcome_;  // at most one: the next look waits until it is taken

  // [helper] Not shared.
  FileState seen_{-1, {}};   // the last look
  FileState tried_{-1, {}};  // the last attempt
  bool failed_ = false;      // the last attempt failed
  int waits_ = 0;
  int looks_until_retry_ = 0;
  std::optional<Error> unreported_;
  std::string reported_;
  std::vector<std::shared_ptr<const MapFile>> handed_out_;

  std::thread thread_;
};

MapWatcher::MapWatcher(event_base* base, std::string path, OnMap on_map, OnError on_error,
                       std::chrono::milliseconds interval)
    : base_(base),
      path_(std::move(path)),
      on_map_(std::move(on_map)),
      on_error_(std::move(on_error)),
      interval_(interval) {}

MapWatcher::~MapWatcher() = default;

Status MapWatcher::Start() {
  thread_ = std::make_unique<Thread>(path_, interval_);
  if (auto outcome = thread_->Look(true)) Apply(std::move(*outcome));
  return thread_->Start(
      base_, [](evutil_socket_t, short, void* self) { static_cast<MapWatcher*>(self)->Take(); },
      this);
}

void MapWatcher::check_now(std::function<void()> done) {
  asked_.push_back(std::move(done));
  thread_->CheckNow();
}

void MapWatcher::Take() {
  size_t checked = 0;
  if (auto outcome = thread_->Take(&checked)) Apply(std::move(*outcome));
  for (; checked > 0; --checked) {
    auto done = std::move(asked_.front());
    asked_.pop_front();
    if (done) done();
  }
}

void MapWatcher::Apply(Outcome outcome) {
  const int64_t now = time(nullptr);
  if (outcome.map) {
    ++stats_.loads;
    stats_.loaded_at = now;
    stats_.load_micros = outcome.micros;
    stats_.last_error.clear();
    destinations_ = std::move(outcome.destinations);
    on_map_(std::move(outcome.map));
    return;
  }
  ++stats_.failures;
  stats_.failed_at = now;
  if (stats_.loaded_at != 0) {
    char when[32] = "";
    tm local;
    time_t loaded = stats_.loaded_at;
    if (localtime_r(&loaded, &local)) strftime(when, sizeof when, "%F %T", &local);
    outcome.error.text += std::string("; the map loaded at ") + when + " stays in use";
  } else {
    outcome.error.text += "; no map is loaded";
  }
  stats_.last_error = outcome.error.text;
  on_error_(outcome.error);
}

}  // namespace rum
