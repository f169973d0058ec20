#include "base/log.h"

#include <limits.h>
#include <poll.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <mutex>
#include <optional>
#include <system_error>
#include <thread>
#include <vector>

#include "base/escape.h"
#include "base/log_last.h"
#include "base/log_target.h"
#include "base/repeats.h"
#include "base/syslog.h"

namespace rum::log {
namespace {

constexpr size_t kQueue = 8192;  // lines
constexpr std::chrono::milliseconds kGather(50);
constexpr std::chrono::seconds kCloseWait(2);

std::atomic<bool> json = false;
std::atomic<Level> least = Level::kInfo;
std::atomic<uint64_t> dropped = 0;

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
  void Reopen();
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
  if (reopen) Reopen();
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
    } else {
      Reopen();
    }
  }
  ReportRepeats(false);
  target.TellLastTarget(as_json);  // syslog may have reconnected
}

// Retried with each batch until it succeeds; the old file gets one warning.
void Writer::Reopen() {
  const Status opened = target.Reopen();
  if (!opened && !reopen) {
    target.Use(as_json);
    target.logger->log(
        Spd(Level::kWarning),
        MakeLine(as_json, opened.error().text + "; rum goes on with the file that it has open"));
  }
  reopen = !opened;
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

}  // namespace

std::optional<Level> FindLevel(std::string_view word) {
  constexpr std::string_view kWords[] = {"error", "warning", "info", "debug"};
  auto found = std::find(std::begin(kWords), std::end(kWords), word);
  if (found == std::end(kWords)) return std::nullopt;
  return static_cast<Level>(found - std::begin(kWords));
}

void ConnectSyslog() { (void)host_syslog.Connect(); }

Status Open(const Options& options) {
  auto target = MakeTarget(options, host_syslog);
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
    auto target = MakeTarget(options, host_syslog);
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

void CountDropped(uint64_t lines) { dropped += lines; }

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

}  // namespace rum::log
