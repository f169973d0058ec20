// The text form of a map: one line `user secret destination [rule...]` per record, without loss.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace rum {

// A record, as a line gives it.
struct MapEntry {
  std::string user;
  std::string value;
};

// Parses one line. Columns are separated by blanks or tabs, each in the form of FormatColumn (`-`
// is the empty column). IsHashedSecret() accepts the secret; the destination is an address list.
// Rules are words of map_rules.h, or `tail=BYTES` with the raw rest of the record, for the
// version 6.7 format. `user = value` gives the whole value as raw bytes, for records that no other
// line can express. nullopt: a comment or an empty line.
Result<std::optional<MapEntry>> ParseMapLine(std::string_view line);

// Returns the line of a record, without its newline. ParseMapLine returns the same bytes, for any
// record.
std::string FormatMapLine(std::string_view user, std::string_view value);

// Checks that a record is usable: its destination, secret and rules are well formed, and its user
// can log in. Errors complete the sentence "user 'x' ...".
Status CheckMapEntry(std::string_view user, std::string_view value);

// Whether a name is probably a mistake: in single quotes, longer than 128 characters, or not UTF-8.
// Used for warnings.
bool IsOddName(std::string_view user);

struct OddNames {
  uint64_t count = 0;
  std::string first;
  void Add(std::string_view user);
};
// "users whose names ...: 3, such as 'x'"
std::string Describe(const OddNames& names);

}  // namespace rum
