// The rules of one user, which follow the destination in a record: text written by rum-map, or the
// binary format of version 6.7. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/cidr.h"
#include "base/country.h"
#include "base/rate.h"
#include "base/result.h"

namespace rum {

struct MapRules {
  bool disabled = false;
  std::string disabled_text;  // for the client; empty: it sees the error of a wrong password
  bool needs_tls = false;
  std::optional<CidrSet> allow;       // if set, the only client addresses accepted
  CidrSet deny;                       // takes precedence over allow
  std::optional<CountrySet> country;  // if set, the only countries accepted, in addition to allow
  CountrySet not_country;             // takes precedence over country
  std::optional<int64_t> from;        // logins are refused before; seconds since 1970
  std::optional<int64_t> until;       // logins are refused from then on
  std::optional<uint32_t> max;        // concurrent connections; 0: unlimited, whatever the default
  std::optional<Rate> rate;           // logins; off: unlimited, whatever the default
  std::string note;                   // comment for operators
  bool older = false;  // in the 6.7 format, whose country is ignored without a database

  bool has_countries() const { return country || !not_country.empty(); }
};

// Bounds of a record's module columns: their number, and the bytes of a name.
inline constexpr uint32_t kMapColumnsMost = 16;
inline constexpr size_t kMapColumnNameMost = 64;
// Bytes of the text of disabled=TEXT: it must fit the errors of all protocols.
inline constexpr size_t kMapDisabledTextMost = 120;
inline constexpr std::string_view kMapDisabled = "disabled";

// `tail`: the bytes of a record after its second NUL. Empty: no rules. First byte 0x80: text, the
// words of a rum-map line separated by blanks. First byte below 0x80: version 6.7, with these
// flags: 1, a count byte and as many IPv4 addresses with masks; 2, a count byte and as many
// two-letter country codes. Anything unknown is an error, since it may be a restriction. A word
// MODULE-NAME=VALUE is not a rule but a column of a module, which rum keeps and does not interpret.
// Errors complete the sentence "user 'x' ...".
Result<MapRules> ParseMapRules(std::string_view tail);

// Returns the tail for the words of a line, without validating them. Errors are those of
// ParseColumn.
Result<std::string> MakeMapRules(const std::vector<std::string_view>& words);

// The inverse: the words of a line, each after a blank. Empty if no words reproduce the same bytes.
std::string FormatMapRules(std::string_view tail);

// Whether `name` is a valid name of a module's column: [a-z][a-z0-9_]*, a dash, [a-z0-9_-]+. No
// column begins with a rule's name or with not-, so a mistyped rule is never a column.
bool IsMapColumnName(std::string_view name);

// The value of a module's column, or the text of kMapDisabled, escaped as a line for a terminal;
// nullopt if the record does not have it. Errors are those of ParseMapRules.
Result<std::optional<std::string>> FindMapColumn(std::string_view tail, std::string_view name);

// One line per rule and column for operators: "at most 5 connections".
std::vector<std::string> DescribeMapRules(std::string_view tail);

}  // namespace rum
