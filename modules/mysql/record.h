// The value of a user's record in the map: secret, NUL, destination, NUL, and what later formats
// add.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "mysql/auth.h"
#include "mysql/exchange.h"
#include "mysql/reader.h"

namespace rum::mysql {

// Of a user's name, in bytes: what identify() takes; the longest that a client library sends.
constexpr size_t kMaxUser = 512;

// What MariaDB's ed25519 and parsec keep of a password. Who has it can vouch for a certificate (see
// ok_packet.h) and cannot log in.
struct PublicKey {
  PluginKind plugin = PluginKind::kEd25519;
  // 32 bytes of the key; of parsec 'P', the exponent of its rounds, and 18 of the salt before them.
  std::string bytes;
};

// What is stored of a password, at most one of both. Nothing: no secret, or one of another form.
struct Record {
  // SHA1(SHA1(password)), written as '*' and 40 hexadecimal digits.
  std::optional<Hash> secret;
  // Written as the name of the plugin, a colon, and what SHOW CREATE USER shows behind USING: of
  // ed25519 43 characters of base64; of parsec 'P', a digit, and 24 and 43 of them behind colons.
  std::optional<PublicKey> public_key;
  // Points into the value that was parsed. One address or a list; rum judges it, not this parser.
  std::string_view destination;
};

// The NUL after the destination may be missing when nothing follows it.
Parsed<Record> ParseRecord(Bytes value);

}  // namespace rum::mysql
