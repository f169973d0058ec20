// The log: text or JSON lines to stderr, syslog or a file, written by a separate thread within 50
// ms. Logging never blocks the caller: lines that do not fit the queue are dropped and counted.
#pragma once

#include <fmt/format.h>

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace rum::log {

enum class Level { kError, kWarning, kInfo, kDebug };
// Parses a level: error, warning, info or debug.
std::optional<Level> FindLevel(std::string_view word);

struct Options {
  std::string target = "stderr";  // "stderr", "syslog" or a file
  bool json = false;
  Level level = Level::kInfo;
  bool operator==(const Options&) const = default;
};

// [main] Call before --chroot if the target is syslog or may become syslog.
void ConnectSyslog();
// [main] Starts the writing thread, so call it after fork(2). Before Open() and after Close(),
// lines go directly to stderr if it does not block. Logs a warning if syslog is unreachable, since
// it may start later.
Status Open(const Options& options);
// [main] Writes the queued lines and ends the thread. False: the thread is blocked in the target;
// end the process by _exit(2).
bool Close();
// [main] Applies new options from the next line on. On failure nothing changes.
Status Change(const Options& options);
// [any] Reopens the file by its name, after log rotation.
void Reopen();
bool Json();
bool Enabled(Level level);
// [any] Lines dropped because the queue was full, because the target did not accept them, or
// counted by CountDropped().
uint64_t Dropped();
void CountDropped(uint64_t lines = 1);

// [any] Logs one line of text. Repeated errors and warnings are gathered for ten seconds.
void Write(Level level, std::string_view text);
// [any] As Write(), for what an operator has asked for: repeats are logged each time.
void WriteAnswer(Level level, std::string_view text);
// [any] Logs a preformatted line: text without control characters or, with `as_json`, the fields of
// an object without braces. Json() chose the format when the line was made; it is not converted if
// the format changes.
void WriteFields(Level level, bool as_json, std::string line);

// [any, in a signal handler too] Writes the last line of a process that a fault ends, bypassing the
// queue: to the log, and to standard error if that is a different file. Printable text without
// quotes.
void LastLine(std::string_view text);

template <class... T>
void Error(fmt::format_string<T...> format, T&&... values) {
  Write(Level::kError, fmt::format(format, std::forward<T>(values)...));
}
template <class... T>
void Warning(fmt::format_string<T...> format, T&&... values) {
  Write(Level::kWarning, fmt::format(format, std::forward<T>(values)...));
}
template <class... T>
void Info(fmt::format_string<T...> format, T&&... values) {
  Write(Level::kInfo, fmt::format(format, std::forward<T>(values)...));
}
template <class... T>
void Debug(fmt::format_string<T...> format, T&&... values) {
  if (Enabled(Level::kDebug)) Write(Level::kDebug, fmt::format(format, std::forward<T>(values)...));
}

}  // namespace rum::log
