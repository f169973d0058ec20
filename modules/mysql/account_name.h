// The account that servers make of the name that a client sends: what the map, the rules, the
// limits and the log must know a user by. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "mysql/reader.h"

namespace rum::mysql {

// MySQL keeps this many bytes of a name, and looks for the account of what is left; MariaDB keeps
// all that FoldAccountName() takes.
constexpr size_t kNameMySqlKeeps = 96;

struct AccountName {
  std::string name;  // as the server has it: in UTF-8
  std::string sent;  // what to send for it, in the client's character set
};

enum class NameIn : uint8_t { kResponse, kChangeUser };

// `charset` is the number of the client's collation. Whoever sends `sent` instead means the same
// account. What servers do not agree about is refused, as is what cannot be told:
// - a pair of single quotes around a response's name goes, but not around that of a
// COM_CHANGE_USER;
// - the name is converted to UTF-8, and malformed bytes become '?' or cut off the rest;
// - characters above U+FFFF become '?', and what is behind the 128th character goes.
Parsed<AccountName> FoldAccountName(std::string_view received, uint16_t charset, NameIn in);

}  // namespace rum::mysql
