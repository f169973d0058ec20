#include "map/map_text.h"

#include <vector>

#include "base/address.h"
#include "base/escape.h"
#include "map/column.h"
#include "map/map_record.h"
#include "map/map_rules.h"

namespace rum {
namespace {

constexpr std::string_view kBlanks = " \t";
constexpr std::string_view kRaw = "=";
constexpr size_t kColumns = 3;  // before the rules
// Modules report names of 1 to 512 bytes.
constexpr size_t kMaxUser = 512;

Error Bad(std::string text) { return Error{Fault::kMap, std::move(text)}; }

Status CheckUser(std::string_view user) {
  if (user.empty()) return Bad("is an empty name, which no client can use");
  if (user.size() > kMaxUser) return Bad("has a name of more than 512 bytes");
  return Ok();
}

Status CheckSecret(std::string_view secret) {
  if (secret.empty() || IsHashedSecret(secret)) return Ok();
  return Bad(
      "has a secret that is neither * and 40 hexadecimal digits nor a public key (ed25519:... or "
      "parsec:P0:...), a verifier (SCRAM-SHA-256$...), an MD5 hash (md5...) or a hash of crypt "
      "($6$...)");  // do not show it
}

Status CheckDestination(std::string_view destination) {
  if (destination.empty()) return Bad("has no destination");
  auto addresses = ParseAddresses(destination);
  if (addresses) return Ok();
  std::string why = "has a bad destination: ";
  AppendEscaped(why, addresses.error().text);
  return Bad(std::move(why));
}

Status CheckRules(std::string_view tail) {
  auto rules = ParseMapRules(tail);
  return rules ? Ok() : Status(rules.error());
}

}  // namespace

Result<std::optional<MapEntry>> ParseMapLine(std::string_view line) {
  if (line.ends_with('\r')) line.remove_suffix(1);
  std::vector<std::string_view> words;
  for (size_t at = line.find_first_not_of(kBlanks); at != line.npos;) {
    if (words.empty() && line[at] == '#') return std::optional<MapEntry>();
    size_t end = line.find_first_of(kBlanks, at);
    words.push_back(line.substr(at, end - at));
    at = line.find_first_not_of(kBlanks, end);
  }
  if (words.empty()) return std::optional<MapEntry>();
  const bool raw = words.size() > 1 && words[1] == kRaw;
  if (words.size() < kColumns) {
    return Bad("a line has three columns (user, secret or -, destination), not " +
               std::to_string(words.size()));
  }
  std::string columns[kColumns];
  for (size_t i = 0; i < kColumns; ++i) {
    if (raw && i == 1) continue;
    auto column = ParseColumn(words[i]);
    if (!column) return column.error();
    columns[i] = std::move(*column);
  }
  auto& [user, secret, destination] = columns;
  if (raw) {
    if (words.size() != kColumns) return Bad("a line with = has three columns (user, =, value)");
    return std::optional(MapEntry{std::move(user), std::move(destination)});
  }
  auto tail = MakeMapRules({words.begin() + kColumns, words.end()});
  if (!tail) return tail.error();
  for (const Status& s :
       {CheckUser(user), CheckSecret(secret), CheckDestination(destination), CheckRules(*tail)}) {
    if (!s) return Bad("user " + QuoteBytes(user) + " " + s.error().text);
  }
  return std::optional(MapEntry{user, FormatMapRecord({secret, destination, *tail})});
}

Status CheckMapEntry(std::string_view user, std::string_view value) {
  if (Status s = CheckUser(user); !s) return s;
  auto record = ParseMapRecord(value);
  if (!record) return record.error();
  if (Status s = CheckSecret(record->secret); !s) return s;
  if (Status s = CheckDestination(record->destination); !s) return s;
  return CheckRules(record->tail);
}

std::string FormatMapLine(std::string_view user, std::string_view value) {
  std::string line = FormatColumn(user);
  auto record = ParseMapRecord(value);
  if (!record || FormatMapRecord(*record) != value || !CheckMapEntry(user, value)) {
    return line + " = " + FormatColumn(value);
  }
  line += ' ' + FormatColumn(record->secret) + ' ' + FormatColumn(record->destination);
  return line + FormatMapRules(record->tail);
}

bool IsOddName(std::string_view user) {
  constexpr size_t kMostCharacters = 128;
  if (user.size() > 1 && user.front() == '\'' && user.back() == '\'') return true;
  size_t characters = 0;
  for (size_t at = 0; at < user.size(); ++characters) {
    auto first = static_cast<uint8_t>(user[at++]);
    int more = first < 0x80 ? 0 : first < 0xc2 ? -1 : first < 0xe0 ? 1 : first < 0xf0 ? 2 : 3;
    if (more < 0 || first > 0xf4) return true;
    for (; more > 0; --more, ++at) {
      if (at == user.size() || (user[at] & 0xc0) != 0x80) return true;
    }
  }
  return characters > kMostCharacters;
}

void OddNames::Add(std::string_view user) {
  if (IsOddName(user) && ++count == 1) first = QuoteBytes(user);
}

std::string Describe(const OddNames& names) {
  return "users whose names are in quotes, longer than 128 characters or not UTF-8, so that they "
         "may not match any client: " +
         std::to_string(names.count) + ", such as " + names.first;
}

}  // namespace rum
