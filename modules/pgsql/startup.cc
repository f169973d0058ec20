#include "pgsql/startup.h"

#include <algorithm>
#include <utility>

#include "pgsql/wire.h"

namespace rum::pgsql {
namespace {

constexpr uint32_t kCancelCode = 80877102;
constexpr uint32_t kSslCode = 80877103;
constexpr uint32_t kGssCode = 80877104;
constexpr char kTlsHandshake = 0x16;
constexpr std::string_view kExtension = "_pq_.";
constexpr std::string_view kApplicationName = "application_name";

char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; }

bool SameWord(std::string_view text, std::string_view word) {
  return std::equal(text.begin(), text.end(), word.begin(), word.end(),
                    [](char a, char b) { return Lower(a) == b; });
}

// As the server's parse_bool() for true values: unambiguous prefixes are accepted.
bool IsTrue(std::string_view text) {
  if (text == "1" || SameWord(text, "on")) return true;
  if (text.empty()) return false;
  return SameWord(text, std::string_view("true").substr(0, text.size())) ||
         SameWord(text, std::string_view("yes").substr(0, text.size()));
}

// Goes through the parameters of a Startup.
class Parameters {
 public:
  explicit Parameters(std::string_view packet) : rest_(packet.substr(kMinFirst)) {}

  // False at the end: see ok().
  bool Next() {
    if (rest_.empty() || rest_.front() == '\0') return false;
    return Take(&name) && Take(&value);
  }
  // The terminator is there, and nothing is behind it.
  bool ok() const { return rest_ == std::string_view("\0", 1); }

  std::string_view name, value;

 private:
  bool Take(std::string_view* text) {
    size_t end = rest_.find('\0');
    if (end == rest_.npos) {
      rest_ = {};
      return false;
    }
    *text = rest_.substr(0, end);
    rest_.remove_prefix(end + 1);
    return true;
  }

  std::string_view rest_;
};

std::string FirstOf(uint32_t code, std::string_view body) {
  std::string packet = U32(static_cast<uint32_t>(kMinFirst + body.size())) + U32(code);
  return packet.append(body);
}

}  // namespace

FirstPacket ReadFirst(std::string_view bytes) {
  using Kind = FirstPacket::Kind;
  if (!bytes.empty() && bytes.front() == kTlsHandshake) return {Kind::kTls, 0};
  if (bytes.size() < 4) return {Kind::kPartial, 4};
  const uint32_t size = ReadU32(bytes);
  if (size < kMinFirst || size > kMaxFirst) return {Kind::kNone, 0};
  if (bytes.size() < size) return {Kind::kPartial, size};
  switch (ReadU32(bytes.substr(4))) {
    case kSslCode:
      return {Kind::kSslRequest, size};
    case kGssCode:
      return {Kind::kGssRequest, size};
    case kCancelCode:
      return {Kind::kCancel, size};
    default:
      return {Kind::kStartup, size};
  }
}

std::optional<std::string_view> ReadCancel(std::string_view packet) {
  std::string_view body = packet.substr(kMinFirst);
  if (body.size() < kProcessId + kMinKey || body.size() > kProcessId + kMaxKey) return {};
  return body;
}

std::string BuildCancel(std::string_view id_and_key) { return FirstOf(kCancelCode, id_and_key); }

std::string BuildSslRequest() { return FirstOf(kSslCode, {}); }
std::string BuildGssRequest() { return FirstOf(kGssCode, {}); }

std::string BuildStartup(std::string_view user) {
  std::string body("user\0", 5);
  return FirstOf(kVersion3, body.append(user).append(2, '\0'));
}

ParsedStartup ParseStartup(std::string_view packet) {
  ParsedStartup parsed;
  Startup& startup = parsed.value;
  auto fault = [&](const char* sqlstate, const char* why) {
    parsed.sqlstate = sqlstate;
    parsed.why = why;
    return std::move(parsed);
  };
  startup.version = ReadU32(packet.substr(4));
  if (startup.version >> 16 != 3) {
    return fault("0A000",
                 "unsupported frontend protocol: the server supports 3.0 and its minor "
                 "versions");
  }
  bool walsender = false, of_database = false;
  Parameters parameter(packet);
  while (parameter.Next()) {
    const auto& [name, value] = std::pair(parameter.name, parameter.value);
    if (name == "user") {
      startup.user = value.substr(0, kMaxName);
    } else if (name == "database") {
      startup.database = value.substr(0, kMaxName);
    } else if (name == "replication") {
      // A walsender with a database cannot become one without a database.
      of_database |= value == "database";
      walsender = value == "database" || IsTrue(value);
    } else if (name.starts_with(kExtension)) {
      startup.extensions.emplace_back(name);
    } else if (SameWord(name, kApplicationName)) {
      startup.application = value;
    }
  }
  if (!parameter.ok()) {
    return fault("08P01", "invalid startup packet layout: expected terminator as last byte");
  }
  if (startup.user.empty()) {
    return fault("28000", "no PostgreSQL user name specified in startup packet");
  }
  startup.without_database = walsender && !of_database;
  if (startup.database.empty()) startup.database = startup.user;
  return parsed;
}

std::string ChangeStartup(std::string_view packet, const StartupChange& change) {
  std::string body;
  Parameters parameter(packet);
  auto write = [&body](std::string_view name, std::string_view value) {
    body.append(name).append(1, '\0').append(value).append(1, '\0');
  };
  while (parameter.Next()) {
    if (change.only_3_0 && parameter.name.starts_with(kExtension)) continue;
    if (change.application && SameWord(parameter.name, kApplicationName)) continue;
    write(parameter.name, parameter.value);
  }
  if (change.application) write(kApplicationName, *change.application);
  body += '\0';
  if (kMinFirst + body.size() > kMaxFirst) return std::string(packet);
  return FirstOf(change.only_3_0 ? kVersion3 : ReadU32(packet.substr(4)), body);
}

std::string AppendAddress(std::string_view name, std::string_view address) {
  constexpr std::string_view kBetween = " - ";
  const size_t taken = std::min(address.size() + kBetween.size(), kMaxName);
  std::string text(name.substr(0, kMaxName - taken));
  if (!text.empty()) text += kBetween;
  return text.append(address.substr(0, kMaxName - text.size()));
}

}  // namespace rum::pgsql
