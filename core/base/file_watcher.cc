#include "base/file_watcher.h"

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

namespace rum {

// The result of a load: a value or an error.
struct FileWatcher::Outcome {
  std::shared_ptr<const void> value;
  Error error;
  uint64_t micros = 0;
};

namespace {

// A file rewritten in place is loaded when two consecutive looks agree, or after this many looks if
// it keeps changing.
constexpr int kMaxWaits = 2;
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
class FileWatcher::Thread {
 public:
  Thread(std::string path, std::string noun, Load load, std::chrono::milliseconds interval,
         Kind kind)
      : path_(std::move(path)),
        noun_(std::move(noun)),
        load_(std::move(load)),
        interval_(interval),
        kind_(kind) {}

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

  // [main]
  void Forget() { forget_ = true; }

  // [helper], or [main] before the thread starts. Looks once and returns an outcome if there is
  // something to report. `urgent`: do not wait for the file to settle, and retry a failed version.
  std::optional<Outcome> Look(bool urgent) {
    FileState file = LookAt(path_);
    const bool changed = file != seen_;
    seen_ = file;
    if (forget_.exchange(false)) tried_ = {-1, {}};
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
  Error Failed(int error) const {
    return Error{Fault::kSystem, "cannot watch the " + noun_ + ": " + std::strerror(error)};
  }

  // A new inode (placed by rename) is complete. The same inode with a new time may still be being
  // written.
  bool MustSettle(const FileState& file) const {
    return kind_ == Kind::kReplaced && file.error == 0 && tried_.error == 0 &&
           file.stamp.inode == tried_.stamp.inode && file.stamp.device == tried_.stamp.device;
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
    const bool empty = kind_ == Kind::kAppended && file.error == ENOENT;
    auto loaded = file.error != 0 && !empty
                      ? Error{Fault::kMap, path_ + ": " + std::strerror(file.error)}
                      : load_(path_, stop_);
    failed_ = !loaded.ok();
    unreported_.reset();
    if (loaded.ok()) {
      // This thread keeps a reference to each value, so that it frees them: unmapping a gigabyte
      // takes long and must not block a worker.
      handed_out_.push_back(loaded->value);
      tried_.stamp = loaded->stamp;  // may be newer than the version that was seen
      return Outcome{std::move(loaded->value), {}, NowMicros() - start};
    }
    if (loaded.error().fault == Fault::kSystem) looks_until_retry_ = kLooksUntilRetry;
    const bool known = again && !urgent && loaded.error().text == reported_;
    if (!known) unreported_ = loaded.error();
    return urgent || !changed ? Report() : std::nullopt;
  }

  std::optional<Outcome> Report() {
    if (!unreported_) return std::nullopt;
    reported_ = unreported_->text;
    return Outcome{nullptr, *std::exchange(unreported_, std::nullopt), 0};
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
      std::erase_if(handed_out_, [](const auto& value) { return value.use_count() == 1; });
      lock.lock();
      checked_ += checks;
      if ((!outcome && checks == 0) || stop_) continue;
      outcome_ = std::move(outcome);
      const uint64_t one = 1;
      [[maybe_unused]] ssize_t n = write(ready_.get(), &one, sizeof one);
    }
  }

  const std::string path_;
  const std::string noun_;
  const Load load_;
  const std::chrono::milliseconds interval_;
  const Kind kind_;
  std::atomic<bool> forget_ = false;
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
  std::vector<std::shared_ptr<const void>> handed_out_;

  std::thread thread_;
};

FileWatcher::FileWatcher(event_base* base, std::string path, std::string noun, Load load,
                         OnLoaded on_loaded, OnError on_error, std::chrono::milliseconds interval,
                         Kind kind)
    : base_(base),
      noun_(std::move(noun)),
      on_loaded_(std::move(on_loaded)),
      on_error_(std::move(on_error)),
      thread_(std::make_unique<Thread>(std::move(path), noun_, std::move(load), interval, kind)) {}

FileWatcher::~FileWatcher() = default;

Status FileWatcher::Start() {
  if (auto outcome = thread_->Look(true)) Apply(std::move(*outcome));
  return thread_->Start(
      base_, [](evutil_socket_t, short, void* self) { static_cast<FileWatcher*>(self)->Take(); },
      this);
}

void FileWatcher::check_now(std::function<void()> done) {
  asked_.push_back(std::move(done));
  thread_->CheckNow();
}

void FileWatcher::Forget() { thread_->Forget(); }

void FileWatcher::Take() {
  size_t checked = 0;
  if (auto outcome = thread_->Take(&checked)) Apply(std::move(*outcome));
  for (; checked > 0; --checked) {
    auto done = std::move(asked_.front());
    asked_.pop_front();
    if (done) done();
  }
}

void FileWatcher::Apply(Outcome outcome) {
  const int64_t now = time(nullptr);
  if (outcome.value) {
    ++stats_.loads;
    stats_.loaded_at = now;
    stats_.load_micros = outcome.micros;
    stats_.last_error.clear();
    on_loaded_(std::move(outcome.value));
    return;
  }
  ++stats_.failures;
  stats_.failed_at = now;
  if (stats_.loaded_at != 0) {
    char when[32] = "";
    tm local;
    time_t loaded = stats_.loaded_at;
    if (localtime_r(&loaded, &local)) strftime(when, sizeof when, "%F %T", &local);
    outcome.error.text += "; the " + noun_ + " loaded at " + when + " stays in use";
  } else {
    outcome.error.text += "; no " + noun_ + " is loaded";
  }
  stats_.last_error = outcome.error.text;
  on_error_(outcome.error);
}

}  // namespace rum
