#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <spdlog/details/null_mutex.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/spdlog.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <syslog.h>
#include <time.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstring>
#include <initializer_list>
#include <mutex>
#include <optional>
#include <system_error>
#include <thread>
#include <vector>

#include "base/escape.h"
#include "base/fd.h"
#include "base/repeats.h"
#include "base/syslog.h"
#include "base/trusted_file.h"

namespace rum::log {
namespace {

constexpr size_t kQueue = 8192;  // lines
constexpr std::chrono::milliseconds kGather(50);
constexpr std::chrono::seconds kCloseWait(2);

std::atomic<bool> json = false;
std::atomic<Level> least = Level::kInfo;
std::atomic<uint64_t> dropped = 0;

// The target of LastLine(); a signal handler may read it at any time. fd -1: standard error only.
struct LastTarget {
  std::atomic<int> fd = -1;
  std::atomic<bool> json = false, is_stderr = false, syslog = false, stream = false;
  std::atomic<bool> journal = false;
};
LastTarget last_target;

// Safe against files and links of other users, see trusted_file.h.
Result<Fd> OpenFile(const std::string& path) {
  return OpenTrusted(path, O_WRONLY | O_CREAT | O_APPEND, 0640);
}

int SeverityOf(spdlog::level::level_enum level) {
  switch (level) {
    case spdlog::level::err:
      return LOG_ERR;
    case spdlog::level::warn:
      return LOG_WARNING;
    case spdlog::level::info:
      return LOG_INFO;
    default:
      return LOG_DEBUG;
  }
}

// Whether standard error is a stream of systemd's journal, which takes a priority in front of each
// line: JOURNAL_STREAM is its device and inode (systemd.exec(5)). A process that inherited the
// variable but not the stream must not write priorities.
bool StderrIsJournal() {
  const char* text = ::getenv("JOURNAL_STREAM");
  struct stat status;
  return text && ::fstat(STDERR_FILENO, &status) == 0 &&
         fmt::format("{}:{}", status.st_dev, status.st_ino) == text;
}

// A file or stderr. Lines are batched: flush writes them by one write(2).
class FileSink : public spdlog::sinks::base_sink<spdlog::details::null_mutex> {
 public:
  FileSink(const std::string& path, Fd file)
      : path_(path), journal_(path.empty() && StderrIsJournal()), file_(std::move(file)) {}
  ~FileSink() override { Forget(); }

  // Opens the file again by its name; on failure returns false and keeps the old file.
  bool Reopen() {
    if (path_.empty()) return true;
    flush();
    auto file = OpenFile(path_);
    if (!file) return false;
    Forget();
    file_ = std::move(*file);
    return true;
  }

  int fd() const { return file_.get(); }
  bool is_stderr() const { return path_.empty(); }
  bool is_journal() const { return journal_; }

 private:
  void sink_it_(const spdlog::details::log_msg& message) override {
    if (journal_) {
      const char prefix[] = {'<', static_cast<char>('0' + SeverityOf(message.level)), '>'};
      lines_.append(prefix, prefix + sizeof prefix);
    }
    formatter_->format(message, lines_);
  }
  // If a line was written partly, its rest is written before the next line.
  void flush_() override {
    if (!rest_.empty() && Emptied()) Forget();
    rest_.erase(0, WriteSome(rest_.data(), rest_.size()));
    size_t done = rest_.empty() ? WriteSome(lines_.data(), lines_.size()) : 0;
    if (done > 0 && done < lines_.size() && lines_[done - 1] != '\n') {
      std::string_view left(lines_.data() + done, lines_.size() - done);
      rest_ = left.substr(0, left.find('\n') + 1);
      done += rest_.size();
    }
    dropped += static_cast<uint64_t>(std::count(lines_.begin() + done, lines_.end(), '\n'));
    lines_.clear();
  }
  size_t WriteSome(const char* bytes, size_t size) {
    size_t done = 0;
    while (done < size) {
      ssize_t n = TEMP_FAILURE_RETRY(::write(file_.get(), bytes + done, size - done));
      if (n <= 0) break;
      done += static_cast<size_t>(n);
    }
    return done;
  }
  // Whether the file was truncated, which also removed the start of the partly written line.
  bool Emptied() const {
    struct stat status;
    return ::fstat(file_.get(), &status) == 0 && S_ISREG(status.st_mode) && status.st_size == 0;
  }
  void Forget() {
    if (!rest_.empty()) ++dropped;
    rest_.clear();
  }

  const std::string path_;  // empty: stderr
  const bool journal_;
  Fd file_;
  spdlog::memory_buf_t lines_;
  std::string rest_;  // the unwritten rest of the last line
};

class SyslogSink : public spdlog::sinks::base_sink<spdlog::details::null_mutex> {
 public:
  explicit SyslogSink(const Syslog& syslog) : syslog_(syslog) {}
  bool Connect() { return syslog_.Connect(); }
  const Syslog& syslog() const { return syslog_; }

 private:
  void sink_it_(const spdlog::details::log_msg& message) override {
    spdlog::memory_buf_t line;
    formatter_->format(message, line);
    std::string_view text(line.data(), line.size());
    if (text.ends_with('\n')) text.remove_suffix(1);
    if (!syslog_.Send(SeverityOf(message.level), std::chrono::system_clock::to_time_t(message.time),
                      text)) {
      ++dropped;
    }
  }
  void flush_() override {}

  Syslog syslog_;
};

const char* PatternOf(bool json, bool syslog) {
  if (json) return R"({"time":"%Y-%m-%dT%H:%M:%S.%e%z","level":"%l",%v})";
  return syslog ? "%v" : "%Y-%m-%dT%H:%M:%S.%e%z %l %v";
}

// Where lines are written.
struct Target {
  std::shared_ptr<spdlog::logger> logger;
  std::shared_ptr<FileSink> file;  // nullptr: syslog
  std::shared_ptr<SyslogSink> syslog;
  bool json = false;  // format of the current pattern

  void Use(bool as_json) {
    if (as_json != json) logger->set_pattern(PatternOf(as_json, !file));
    json = as_json;
  }
  void TellLastTarget(bool as_json) const {
    last_target.json = as_json;
    last_target.is_stderr = file && file->is_stderr();
    last_target.journal = file && file->is_journal();
    last_target.syslog = syslog != nullptr;
    last_target.stream = syslog && syslog->syslog().stream();
    last_target.fd = file ? file->fd() : syslog ? syslog->syslog().fd() : -1;
  }
};

struct Switch {
  Target target;  // an empty logger: keep the target
  bool json;
};

// A message is formatted when it is written. Text and JSON are preformatted fields and keep their
// format, even if it changes while they are queued.
enum class Form : uint8_t { kMessage, kText, kJson };

struct Line {
  std::chrono::system_clock::time_point time;
  Level level;
  std::string text;
  Form form = Form::kMessage;
  bool each = false;  // repeats are not gathered
  // A command instead of a line; runs after the lines queued before it.
  bool reopen = false;             // reopen the file
  std::optional<Switch> change{};  // change the target or the format
};

// The queue and its thread. Never destroyed: a thread that is blocked in its target may outlive
// main.
struct Writer {
  std::mutex mutex;  // guards what follows
  std::condition_variable wake, ended;
  std::vector<Line> lines;
  bool open = false;
  bool idle = false;       // the thread waits without a timeout and must be woken
  bool flush_now = false;  // write now, without waiting for more lines
  bool closing = false;
  bool over = true;
  // Used only by the thread.
  Target target;
  bool reopen = false;
  bool as_json = false;
  Repeats repeats;

  void Run();
  bool MayWrite(const Line& line);
  void ReportRepeats(bool all);
  void WriteAll(std::vector<Line>& all);
};

Writer& writer = *new Writer;
Options current;     // used only by the main thread
Syslog host_syslog;  // used only by the main thread; connected before --chroot

std::string MakeLine(bool as_json, std::string_view text) {
  std::string line;
  if (as_json) {
    line = "\"message\":\"";
    AppendJsonEscaped(line, text);
    line += '"';
  } else {
    AppendPrintable(line, text);
  }
  return line;
}

// Waits for a line, then briefly for more, and writes them together: callers pay for an uncontended
// lock only, and the thread wakes at most twenty times a second.
void Writer::Run() {
  std::vector<Line> all;
  std::unique_lock lock(mutex);
  while (!closing || !lines.empty()) {
    idle = true;
    auto due = [this] { return closing || !lines.empty(); };
    if (auto next = repeats.next()) {
      wake.wait_until(lock, *next, due);
    } else {
      wake.wait(lock, due);
    }
    idle = false;
    if (!lines.empty()) wake.wait_for(lock, kGather, [this] { return closing || flush_now; });
    flush_now = false;
    all.swap(lines);
    lock.unlock();
    WriteAll(all);
    all.clear();
    lock.lock();
  }
  lock.unlock();
  ReportRepeats(true);
  lock.lock();
  over = true;
  ended.notify_all();
}

spdlog::level::level_enum Spd(Level level) {
  switch (level) {
    case Level::kError:
      return spdlog::level::err;
    case Level::kWarning:
      return spdlog::level::warn;
    case Level::kInfo:
      return spdlog::level::info;
    default:
      return spdlog::level::debug;
  }
}

void Writer::WriteAll(std::vector<Line>& all) {
  if (reopen && target.file) reopen = !target.file->Reopen();
  for (Line& line : all) {
    if (line.change) {
      target.logger->flush();
      if (line.change->target.logger) target = std::move(line.change->target), reopen = false;
      as_json = line.change->json;
    } else if (!line.reopen) {
      const bool message = line.form == Form::kMessage;
      if (message && !MayWrite(line)) continue;
      target.Use(message ? as_json : line.form == Form::kJson);
      target.logger->log(line.time, spdlog::source_loc{}, Spd(line.level),
                         message ? MakeLine(as_json, line.text) : line.text);
    } else if (target.file) {
      reopen = !target.file->Reopen();  // retried with each batch until it succeeds
    }
  }
  ReportRepeats(false);
  target.TellLastTarget(as_json);  // syslog may have reconnected
}

// Only errors and warnings are gathered; repeated events stay visible.
bool Writer::MayWrite(const Line& line) {
  return line.level > Level::kWarning || line.each ||
         repeats.Pass(std::chrono::steady_clock::now(), static_cast<int>(line.level), line.text);
}

void Writer::ReportRepeats(bool all) {
  for (const auto& again : repeats.Take(std::chrono::steady_clock::now(), all)) {
    std::string text =
        fmt::format("{} ({} more in {}s)", again.text, again.more, Repeats::kSpan.count());
    target.Use(as_json);
    target.logger->log(Spd(static_cast<Level>(again.level)), MakeLine(as_json, text));
  }
  target.logger->flush();
}

// Writes before Open() and after Close(). If stderr is a full pipe, drops the line instead of
// blocking.
void WriteDirectly(const Line& line) {
  if (line.change || line.reopen) return;
  pollfd error_output = {STDERR_FILENO, POLLOUT, 0};
  if (::poll(&error_output, 1, 0) != 1 || !(error_output.revents & POLLOUT)) {
    ++dropped;
    return;
  }
  // POLLOUT guarantees that PIPE_BUF bytes fit a pipe without blocking.
  std::string text = "rum: " + MakeLine(false, line.text).substr(0, PIPE_BUF - 6) + "\n";
  (void)!::write(STDERR_FILENO, text.data(), text.size());
}

void Push(Line line) {
  bool wake;
  {
    std::lock_guard lock(writer.mutex);
    if (!writer.open) return WriteDirectly(line);
    if (writer.lines.size() >= kQueue && !line.reopen && !line.change) {
      ++dropped;
      return;
    }
    bool flush_now = writer.lines.size() >= kQueue / 2 && !writer.flush_now;
    writer.flush_now |= flush_now;
    wake = flush_now || (writer.idle && writer.lines.empty());
    writer.lines.push_back(std::move(line));
  }
  if (wake) writer.wake.notify_one();
}

Result<Target> MakeTarget(const Options& options) {
  std::shared_ptr<FileSink> file;
  std::shared_ptr<SyslogSink> syslog;
  spdlog::sink_ptr sink;
  if (options.target == "syslog") {
    auto to = std::make_shared<SyslogSink>(host_syslog);
    if (!to->Connect()) {
      Warning("cannot reach syslog: /dev/log: {}; log lines are lost until it is available",
              std::strerror(errno));
    }
    sink = syslog = std::move(to);
  } else {
    bool stderr_too = options.target == "stderr";
    auto fd = stderr_too ? Result<Fd>(Fd(::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3)))
                         : OpenFile(options.target);
    std::string why = fd ? "" : fd.error().text;
    if (fd && !*fd && errno != EBADF) why = std::strerror(errno);  // EBADF: stderr may be closed
    if (!why.empty()) {
      return rum::Error{Fault::kConfig, "cannot log to '" + options.target + "': " + why};
    }
    sink = file = std::make_shared<FileSink>(stderr_too ? "" : options.target, std::move(*fd));
  }
  auto logger = std::make_shared<spdlog::logger>("rum", sink);
  logger->set_pattern(PatternOf(options.json, !file));
  logger->set_level(spdlog::level::debug);
  logger->set_error_handler([](const std::string&) { ++dropped; });
  return Target{std::move(logger), std::move(file), std::move(syslog), options.json};
}

}  // namespace

std::optional<Level> FindLevel(std::string_view word) {
  constexpr std::string_view kWords[] = {"error", "warning", "info", "debug"};
  auto found = std::find(std::begin(kWords), std::end(kWords), word);
  if (found == std::end(kWords)) return std::nullopt;
  return static_cast<Level>(found - std::begin(kWords));
}

void ConnectSyslog() { (void)host_syslog.Connect(); }

Status Open(const Options& options) {
  auto target = MakeTarget(options);
  if (!target) return target.error();
  current = options;
  json = options.json;
  least = options.level;
  std::lock_guard lock(writer.mutex);
  writer.target = std::move(*target);
  writer.target.TellLastTarget(options.json);
  writer.as_json = options.json;
  writer.closing = writer.over = writer.flush_now = writer.reopen = false;
  writer.open = true;
  try {
    std::thread([] { writer.Run(); }).detach();
  } catch (const std::system_error& e) {
    writer.open = false;
    writer.over = true;
    return rum::Error{Fault::kSystem, std::string("cannot start the log thread: ") + e.what()};
  }
  return Ok();
}

// A pipe without a reader can block the thread indefinitely, so the wait is bounded.
bool Close() {
  std::unique_lock lock(writer.mutex);
  writer.open = false;
  writer.closing = true;
  writer.wake.notify_one();
  if (!writer.ended.wait_for(lock, kCloseWait, [] { return writer.over; })) return false;
  last_target.fd = -1;
  writer.target = {};
  return true;
}

Status Change(const Options& options) {
  if (options == current) return Ok();
  Switch change = {{}, options.json};
  if (options.target != current.target) {
    auto target = MakeTarget(options);
    if (!target) return target.error();
    change.target = std::move(*target);
  }
  current = options;
  json = options.json;
  least = options.level;
  Push({.time = {}, .level = Level::kError, .text = {}, .change = std::move(change)});
  return Ok();
}

void Reopen() { Push({.time = {}, .level = Level::kError, .text = {}, .reopen = true}); }

bool Json() { return json.load(std::memory_order_relaxed); }

bool Enabled(Level level) { return level <= least.load(std::memory_order_relaxed); }

uint64_t Dropped() { return dropped.load(); }

void CountDropped() { ++dropped; }

void Write(Level level, std::string_view text) {
  if (!Enabled(level)) return;
  Push({.time = std::chrono::system_clock::now(), .level = level, .text = std::string(text)});
}

void WriteAnswer(Level level, std::string_view text) {
  if (!Enabled(level)) return;
  Push({.time = std::chrono::system_clock::now(),
        .level = level,
        .text = std::string(text),
        .each = true});
}

void WriteFields(Level level, bool as_json, std::string line) {
  if (!Enabled(level)) return;
  Push({.time = std::chrono::system_clock::now(),
        .level = level,
        .text = std::move(line),
        .form = as_json ? Form::kJson : Form::kText});
}

namespace {

// The time as the patterns have it, in UTC: what knows the time zone may take a lock.
std::string_view FormatTime(char (&text)[40]) {
  timespec now;
  ::clock_gettime(CLOCK_REALTIME, &now);
  using namespace std::chrono;
  const sys_seconds second{seconds(now.tv_sec)};
  const auto day = floor<days>(second);
  const year_month_day date(day);
  const hh_mm_ss time(second - day);
  char* next = text;
  auto add = [&next](int64_t number, int digits, char behind) {
    for (int i = digits; i-- > 0; number /= 10) next[i] = static_cast<char>('0' + number % 10);
    next += digits;
    *next++ = behind;
  };
  add(static_cast<int>(date.year()), 4, '-');
  add(static_cast<unsigned>(date.month()), 2, '-');
  add(static_cast<unsigned>(date.day()), 2, 'T');
  add(time.hours().count(), 2, ':');
  add(time.minutes().count(), 2, ':');
  add(time.seconds().count(), 2, '.');
  add(now.tv_nsec / 1000000, 3, '+');
  add(0, 2, ':');
  add(0, 2, ' ');
  return {text, static_cast<size_t>(next - text) - 1};
}

std::string_view Priority() { return last_target.journal ? "<3>" : ""; }

// A pipe that nobody reads must not hold up a process that ends.
void WriteAtOnce(int fd, bool socket, std::initializer_list<std::string_view> parts) {
  iovec pieces[8];
  size_t count = 0;
  for (std::string_view part : parts) {
    pieces[count++] = {const_cast<char*>(part.data()), part.size()};
  }
  pollfd ready = {fd, POLLOUT, 0};
  if (::poll(&ready, 1, 0) != 1 || !(ready.revents & POLLOUT)) return;
  msghdr message = {};
  message.msg_iov = pieces;
  message.msg_iovlen = count;
  (void)!(socket ? ::sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT)
                 : ::writev(fd, pieces, static_cast<int>(count)));
}

}  // namespace

void LastLine(std::string_view text) {
  char buffer[40];
  const std::string_view time = FormatTime(buffer);
  const int fd = last_target.fd;
  if (fd >= 0 && last_target.syslog) {
    WriteAtOnce(fd, true, {"<27>rum: ", text, {"", last_target.stream ? 1u : 0u}});
  } else if (fd >= 0 && last_target.json) {
    WriteAtOnce(
        fd, false,
        {Priority(), R"({"time":")", time, R"(","level":"error","message":")", text, "\"}\n"});
  } else if (fd >= 0) {
    WriteAtOnce(fd, false, {Priority(), time, " error ", text, "\n"});
  }
  if (fd < 0 || !last_target.is_stderr) {
    WriteAtOnce(STDERR_FILENO, false, {"rum: ", text, "\n"});
  }
}

}  // namespace rum::log
