// The value of a user's record in the map: secret, NUL, destination, NUL, and what later formats
// add.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <string_view>

#include "mysql/auth.h"
#include "mysql/reader.h"

namespace rum::mysql {

// Of a user's name, in bytes: what identify() takes; the longest that a client library sends.
constexpr size_t kMaxUser = 512;

using Ed25519Key = std::array<uint8_t, 32>;

// What is stored of a password, at most one of both. Nothing: no secret, or one of another form.
struct Record {
  // SHA1(SHA1(password)), written as '*' and 40 hexadecimal digits.
  std::optional<Hash> secret;
  // The public key of an account of the plugin ed25519, written as "ed25519:" and what MariaDB
  // shows of it: 43 characters of base64.
  std::optional<Ed25519Key> ed25519;
  // Points into the value that was parsed. One address or a list; rum judges it, not this parser.
  std::string_view destination;
};

// The NUL after the destination may be missing when nothing follows it.
Parsed<Record> ParseRecord(Bytes value);

}  // namespace rum::mysql
