// The text form of a map: one `user secret destination [rule...]` a line, and back without loss.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace rum {

// What a line says: a record of the map.
struct MapEntry {
  std::string user;
  std::string value;
};

// Columns stand between blanks or tabs, each in the form of FormatColumn (`-` is an empty one). The
// secret is of a form that IsHashedSecret() knows, the destination an address list. The rules are
// words as map_rules.h has them, or `tail=BYTES`, all that follows in the record, for rules in the
// older form. `user = value` gives the value as raw bytes, for records that have no better form.
// nullopt: a comment or an empty line.
Result<std::optional<MapEntry>> ParseMapLine(std::string_view line);

// The line of a record, without its newline: ParseMapLine gives the same bytes back, whatever they
// are.
std::string FormatMapLine(std::string_view user, std::string_view value);

// Whether look-ups can use the record: its destination, secret and rules are well formed, and the
// user is one that can log in. Errors complete the sentence "user 'x' ...".
Status CheckMapEntry(std::string_view user, std::string_view value);

// A name that a client can hardly have: in single quotes, of more than 128 characters, or not in
// UTF-8. Servers and modules that know them use another spelling. For warnings.
bool IsOddName(std::string_view user);

struct OddNames {
  uint64_t count = 0;
  std::string first;
  void Add(std::string_view user);
};
// "users whose names ...: 3, such as 'x'"
std::string Describe(const OddNames& names);

}  // namespace rum
