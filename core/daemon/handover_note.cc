#include "daemon/handover_note.h"

#include <errno.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <climits>
#include <cstdint>
#include <cstring>
#include <optional>

namespace rum {
namespace {

constexpr size_t kVariableMost = 32 * 1024;  // also readable by older versions
constexpr size_t kRestMost = 64 * 1024 * 1024;
constexpr uint64_t kIdsMost = uint64_t{1} << 53;  // JSON readers know no greater integers

std::string Escape(std::string_view text) {
  std::string out;
  for (unsigned char c : text) {
    out += c == ',' || c == '%' || c < 0x20 ? fmt::format("%{:02X}", c) : std::string(1, c);
  }
  return out;
}

std::optional<std::string> Unescape(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    unsigned value = 0;
    if (text.size() - i < 3) return std::nullopt;
    auto [end, error] = std::from_chars(&text[i + 1], &text[i + 1] + 2, value, 16);
    if (error != std::errc() || end != &text[i + 1] + 2) return std::nullopt;
    out += static_cast<char>(value);
    i += 2;
  }
  return out;
}

// Removes and returns the text before the first `mark`.
std::string_view Cut(std::string_view& rest, char mark) {
  size_t end = rest.find(mark);
  std::string_view part = rest.substr(0, end);
  rest = end == rest.npos ? std::string_view() : rest.substr(end + 1);
  return part;
}

template <class Number>
bool ReadNumber(std::string_view text, Number most, Number& number) {
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size() && number > 0 && number <= most;
}

bool ReadGeneration(std::string_view entry, HandoverNote& note) {
  Generation one;
  const bool good = ReadNumber(Cut(entry, ':'), INT_MAX, one.pid) &&
                    ReadNumber(Cut(entry, ':'), INT64_MAX, one.since);
  auto socket = Unescape(entry);
  if (!good || !socket || socket->empty()) return false;
  one.socket = std::move(*socket);
  note.generations.push_back(std::move(one));
  return note.generations.size() <= kGenerationsMost;
}

bool ReadPause(std::string_view entry, HandoverNote& note) {
  HandoverNote::Pause pause{};
  if (!ReadNumber(Cut(entry, ':'), UINT64_MAX, pause.until)) return false;
  const std::string_view kind = Cut(entry, ':');
  if (kind != "user" && kind != "server") return false;
  pause.kind = kind == "user" ? LoginPauses::Kind::kUser : LoginPauses::Kind::kServer;
  auto name = Unescape(entry);
  if (!name || name->empty()) return false;
  pause.name = std::move(*name);
  note.pauses.push_back(std::move(pause));
  return note.pauses.size() <= LoginPauses::kMost;
}

// Parses one entry into the note; false: it is invalid. `rest` receives the file with further
// entries; nullptr in that file, which may not name another.
bool ReadEntry(std::string_view entry, HandoverNote& note, Fd* rest) {
  std::string_view kind = Cut(entry, ':');
  if (kind == "map" || kind == "detach") {
    (kind == "map" ? note.has_map : note.detach) = true;
    return entry.empty();
  }
  if (kind == kAdminStateWords[1] || kind == kAdminStateWords[2]) {
    auto server = Unescape(entry);
    if (!server || !ParseAddress(*server)) return false;
    note.admin_states.push_back(
        {*server, kind == kAdminStateWords[1] ? AdminState::kDrain : AdminState::kMaintenance});
    return true;
  }
  if (kind == "pause") return ReadPause(entry, note);
  if (kind == "older") return ReadGeneration(entry, note);
  if (kind == "ids") return ReadNumber(entry, kIdsMost, note.ids_above);
  std::string_view number = Cut(entry, ':');
  int fd = -1;
  auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), fd);
  if (error != std::errc() || end != number.data() + number.size() || fd < 3) return false;
  if (kind == "ready" || kind == "stderr" || kind == "pidfile" || kind == "shared") {
    (kind == "ready"    ? note.ready
     : kind == "stderr" ? note.error_output
     : kind == "shared" ? note.shared
                        : note.pidfile) = fd;
    return entry.empty();
  }
  if (kind == "rest") {
    if (rest) rest->reset(fd);
    return rest && entry.empty();
  }
  auto text = Unescape(entry);
  if (!text || (kind != "own" && kind != "given")) return false;
  auto address = ParseAddress(*text, true);
  if (!address) return false;
  note.sockets.push_back({fd, kind == "given", std::move(*address)});
  return true;
}

bool ReadEntries(std::string_view text, HandoverNote& note, Fd* rest) {
  bool good = true;
  while (good && !text.empty()) good = ReadEntry(Cut(text, ','), note, rest);
  return good;
}

// Reads a whole file, from its start.
std::optional<std::string> ReadWhole(int fd) {
  std::string text;
  char buffer[65536];
  for (off_t at = 0; text.size() <= kRestMost; at = static_cast<off_t>(text.size())) {
    ssize_t n = TEMP_FAILURE_RETRY(::pread(fd, buffer, sizeof buffer, at));
    if (n < 0) return std::nullopt;
    if (n == 0) return text;
    text.append(buffer, static_cast<size_t>(n));
  }
  return std::nullopt;
}

}  // namespace

std::string WriteHandoverNote(const HandoverNote& note) {
  std::string out = fmt::format("ready:{},stderr:{}", note.ready, note.error_output);
  if (note.detach) out += ",detach:";
  if (note.has_map) out += ",map:";
  if (note.pidfile >= 0) out += fmt::format(",pidfile:{}", note.pidfile);
  if (note.shared >= 0) out += fmt::format(",shared:{}", note.shared);
  for (const SharedSocket& socket : note.sockets) {
    out += fmt::format(",{}:{}:{}", socket.given ? "given" : "own", socket.fd,
                       Escape(socket.address.text()));
  }
  for (const HandoverNote::ServerAdmin& one : note.admin_states) {
    out +=
        fmt::format(",{}:{}", kAdminStateWords[static_cast<size_t>(one.state)], Escape(one.server));
  }
  for (const HandoverNote::Pause& one : note.pauses) {
    out += fmt::format(",pause:{}:{}:{}", one.until,
                       one.kind == LoginPauses::Kind::kUser ? "user" : "server", Escape(one.name));
  }
  for (const Generation& one : note.generations) {
    out += fmt::format(",older:{}:{}:{}", one.pid, one.since, Escape(one.socket));
  }
  if (note.ids_above) out += fmt::format(",ids:{}", note.ids_above);
  return out;
}

Result<std::string> WriteShortHandoverNote(const HandoverNote& note, Fd* rest) {
  std::string all = WriteHandoverNote(note);
  if (all.size() <= kVariableMost) return all;
  rest->reset(::memfd_create("rum-handover", MFD_CLOEXEC));
  for (size_t at = 0; *rest && at < all.size();) {
    ssize_t n = TEMP_FAILURE_RETRY(::write(rest->get(), all.data() + at, all.size() - at));
    if (n <= 0) rest->reset();
    at += static_cast<size_t>(std::max<ssize_t>(n, 0));
  }
  if (!*rest) {
    return Error{Fault::kSystem, std::string("cannot create a file for the list of sockets: ") +
                                     std::strerror(errno)};
  }
  return fmt::format("ready:{},stderr:{},rest:{}", note.ready, note.error_output, rest->get());
}

Result<HandoverNote> ReadHandoverNote(std::string_view text) {
  HandoverNote note;
  Fd rest;
  bool good = ReadEntries(text, note, &rest);
  if (good && rest) {
    auto more = ReadWhole(rest.get());
    good = more && ReadEntries(*more, note, nullptr);
  }
  if (!good || note.ready < 0 || note.error_output < 0) {
    return Error{Fault::kUsage, std::string(kHandoverVariable) +
                                    " cannot be parsed; rum sets it for hand-overs only"};
  }
  return note;
}

}  // namespace rum
