// The value of a user's record in the map: secret, NUL, destination, NUL, and what later formats
// add.
#pragma once

#include <optional>
#include <string_view>

#include "mysql/auth.h"
#include "mysql/reader.h"

namespace rum::mysql {

struct Record {
  // SHA1(SHA1(password)), written as '*' and 40 hexadecimal digits. Nothing: none is stored, or
  // what is stored is of another plugin and cannot be used to rewrite a login.
  std::optional<Hash> secret;
  // Points into the value that was parsed. One address or a list; rum judges it, not this parser.
  std::string_view destination;
};

// The NUL after the destination may be missing when nothing follows it.
Parsed<Record> ParseRecord(Bytes value);

}  // namespace rum::mysql
