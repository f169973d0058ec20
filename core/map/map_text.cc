#include "map/map_text.h"

#include <array>

#include "base/address.h"
#include "base/escape.h"
#include "map/column.h"
#include "map/map_record.h"

namespace rum {
namespace {

constexpr std::string_view kBlanks = " \t";
constexpr std::string_view kRaw = "=";
constexpr size_t kColumns = 4;
// Modules hand over names of 1 to 512 bytes.
constexpr size_t kMaxUser = 512;

Error Bad(std::string text) { return Error{Fault::kMap, std::move(text)}; }

Status CheckUser(std::string_view user) {
  if (user.empty()) return Bad("is an empty name, by which nobody can log in");
  if (user.size() > kMaxUser) return Bad("has a name of more than 512 bytes");
  return Ok();
}

Status CheckSecret(std::string_view secret) {
  if (secret.empty() || IsHashedSecret(secret)) return Ok();
  return Bad(
      "has a secret that is neither * and 40 hexadecimal digits nor ed25519: and 43 characters of "
      "base64");  // without showing it
}

Status CheckDestination(std::string_view destination) {
  if (destination.empty()) return Bad("has no destination");
  auto addresses = ParseAddresses(destination);
  if (addresses) return Ok();
  std::string why = "has a bad destination: ";
  AppendEscaped(why, addresses.error().text);
  return Bad(std::move(why));
}

}  // namespace

Result<std::optional<MapEntry>> ParseMapLine(std::string_view line) {
  if (line.ends_with('\r')) line.remove_suffix(1);
  std::array<std::string_view, kColumns> words;
  size_t count = 0;
  for (size_t at = line.find_first_not_of(kBlanks); at != line.npos;) {
    if (count == 0 && line[at] == '#') return std::optional<MapEntry>();
    if (count == kColumns) return Bad("more than four columns; a blank in a name is written \\s");
    size_t end = line.find_first_of(kBlanks, at);
    words[count++] = line.substr(at, end - at);
    at = line.find_first_not_of(kBlanks, end);
  }
  if (count == 0) return std::optional<MapEntry>();
  const bool raw = count > 1 && words[1] == kRaw;
  if (count < 3) {
    return Bad("a line has three columns (user, secret or -, destination), not " +
               std::to_string(count));
  }
  std::array<std::string, kColumns> columns;
  for (size_t i = 0; i < count; ++i) {
    if (raw && i == 1) continue;
    auto column = ParseColumn(words[i]);
    if (!column) return column.error();
    columns[i] = std::move(*column);
  }
  if (raw) {
    if (count != 3) return Bad("a line with = has three columns (user, =, value)");
    return std::optional(MapEntry{std::move(columns[0]), std::move(columns[2])});
  }
  auto& [user, secret, destination, tail] = columns;
  for (const Status& s : {CheckUser(user), CheckSecret(secret), CheckDestination(destination)}) {
    if (!s) return Bad("user " + QuoteBytes(user) + " " + s.error().text);
  }
  return std::optional(MapEntry{user, FormatMapRecord({secret, destination, tail})});
}

Status CheckMapEntry(std::string_view user, std::string_view value) {
  if (Status s = CheckUser(user); !s) return s;
  auto record = ParseMapRecord(value);
  if (!record) return record.error();
  if (Status s = CheckSecret(record->secret); !s) return s;
  return CheckDestination(record->destination);
}

std::string FormatMapLine(std::string_view user, std::string_view value) {
  std::string line = FormatColumn(user);
  auto record = ParseMapRecord(value);
  if (!record || FormatMapRecord(*record) != value || !CheckMapEntry(user, value)) {
    return line + " = " + FormatColumn(value);
  }
  line += ' ' + FormatColumn(record->secret) + ' ' + FormatColumn(record->destination);
  if (!record->tail.empty()) line += ' ' + FormatColumn(record->tail);
  return line;
}

}  // namespace rum
