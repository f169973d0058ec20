// The log: lines to stderr, syslog or a file, as text or JSON, written by a thread of its own, up
// to 50 ms later. A line never blocks the caller: what the queue cannot take is dropped and
// counted.
#pragma once

#include <fmt/format.h>

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace rum::log {

enum class Level { kError, kWarning, kInfo, kDebug };
// The level that a word names: error, warning, info or debug.
std::optional<Level> FindLevel(std::string_view word);

struct Options {
  std::string target = "stderr";  // "stderr", "syslog" or a file
  bool json = false;
  Level level = Level::kInfo;
  bool operator==(const Options&) const = default;
};

// [main] Before --chroot, for a target that is syslog, or becomes it.
void ConnectSyslog();
// [main] Begins to write; before that, and after Close(), lines go to stderr at once, if it takes
// them without waiting. After a fork, not before: it makes a thread. Of syslog that cannot be
// reached it warns, there: it may come later.
Status Open(const Options& options);
// [main] Writes what waits and ends the thread. False: the target takes nothing, the thread hangs
// in it, and the process should end by _exit.
bool Close();
// [main] Goes on with other options, between two lines. On failure everything stays as it was.
Status Change(const Options& options);
// [any] Opens the file again by its name, after it was rotated away.
void Reopen();
bool Json();
bool Enabled(Level level);
// [any] Lines that were dropped because the queue was full or the target did not take them, or
// that CountDropped() told of.
uint64_t Dropped();
void CountDropped();

// [any] One line of text. What went wrong and is said again is gathered for ten seconds.
void Write(Level level, std::string_view text);
// [any] A line that is made already: text without control characters or, `as_json`, the fields of
// an object without the braces. As Json() was when it was made; it is written in that form.
void WriteFields(Level level, bool as_json, std::string line);

// [any, in a signal handler too] A line past the queue, of a process that ends by a fault: into the
// log, and to standard error if that is another place. Printable text without quotes.
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
