// The rules for one user: what follows the destination in a record, in the form that rum-map writes
// or in the older one of version 6.7. Pure: bytes in, rules out.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/cidr.h"
#include "base/rate.h"
#include "base/result.h"

namespace rum {

struct MapRules {
  bool disabled = false;
  bool needs_tls = false;
  std::optional<CidrSet> allow;  // the only places to come from
  CidrSet deny;                  // counts more than allow
  std::optional<int64_t> from;   // seconds since 1970: not before it
  std::optional<int64_t> until;  // not from then on
  std::optional<uint32_t> max;   // connections at a time; 0: no limit, whatever the default is
  std::optional<Rate> rate;      // of logins; off: no limit, whatever the default is
  std::string note;              // for people
  uint32_t countries = 0;        // of the older form; there is nothing to obey them by
};

// At most so many columns of modules a record, and bytes of a column's name.
inline constexpr uint32_t kMapColumnsMost = 16;
inline constexpr size_t kMapColumnNameMost = 64;

// `tail` is a record from behind its second NUL on. Empty: no rules. A tail whose first byte is
// 0x80 is text: words with blanks between them, as they stand in a line of rum-map. One below 0x80
// has the form of version 6.7, with these flags: 1, a byte with a count and that many IPv4
// addresses with their masks; 2, a byte with a count and that many countries of two letters. What
// is not known is an error, since it may be a restriction. A word MODULE-NAME=VALUE is no rule but
// a column of a module, which rum keeps and does not judge. Errors complete the sentence "user 'x'
// ...".
Result<MapRules> ParseMapRules(std::string_view tail);

// The tail for the words of a line; they are not judged. Errors are those of ParseColumn.
Result<std::string> MakeMapRules(const std::vector<std::string_view>& words);

// The inverse: the words of a line for a tail, each behind a blank. Empty when there are none that
// would give the same bytes back.
std::string FormatMapRules(std::string_view tail);

// Whether `name` can be that of a module's column: [a-z][a-z0-9_]*, a dash, [a-z0-9_-]+. No rule
// has a dash, and no column begins with a rule's name, so that a rule written wrong is never a
// column.
bool IsMapColumnName(std::string_view name);

// The value of a module's column; nothing: the record does not have it. Errors are those of
// ParseMapRules.
Result<std::optional<std::string>> FindMapColumn(std::string_view tail, std::string_view name);

// A line for each rule and column, in words: "at most 5 connections".
std::vector<std::string> DescribeMapRules(std::string_view tail);

}  // namespace rum
