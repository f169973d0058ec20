// Turns the name that a client sends into the account name that servers see; map, rules, limits and
// log use that one. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "mysql/reader.h"

namespace rum::mysql {

// MySQL cuts a name at this many bytes and uses the rest as account name; MariaDB keeps all that
// FoldAccountName() accepts.
constexpr size_t kNameMySqlKeeps = 96;

struct AccountName {
  std::string name;  // as the server stores it, in UTF-8
  std::string sent;  // what to send for it, in the client's character set
};

enum class NameIn : uint8_t { kResponse, kChangeUser };

// `charset` is the number of the client's collation. Sending `sent` selects the same account.
// Refuses names that servers treat differently, or whose treatment is unknown:
// - single quotes around the name are removed in a response, but not in a COM_CHANGE_USER;
// - the name is converted to UTF-8; malformed bytes become '?' or end the name;
// - characters above U+FFFF become '?', and all after the 128th character are cut.
Parsed<AccountName> FoldAccountName(std::string_view received, uint16_t charset, NameIn in);

}  // namespace rum::mysql
