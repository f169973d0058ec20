// Parses a user's record in the map: secret, NUL, destination, NUL, and fields of later formats.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "mysql/auth.h"
#include "mysql/exchange.h"
#include "mysql/reader.h"

namespace rum::mysql {

// Bytes of a user name: as many as identify() accepts, and client libraries send.
constexpr size_t kMaxUser = 512;

// What MariaDB's ed25519 and parsec store for a password. It is enough to vouch for a certificate
// (see ok_packet.h), but not to log in.
struct PublicKey {
  PluginKind plugin = PluginKind::kEd25519;
  // 32 bytes of the key; for parsec, 'P', the exponent of its rounds, and 18 bytes of salt in
  // front.
  std::string bytes;
};

// The stored form of a password, at most one of both. Neither: no secret, or another form.
struct Record {
  // SHA1(SHA1(password)), written as '*' and 40 hexadecimal digits.
  std::optional<Hash> secret;
  // Written as the plugin's name, a colon, and the value that SHOW CREATE USER shows after USING:
  // for ed25519 43 characters of base64; for parsec 'P', a digit, and 24 and 43 characters, each
  // after a colon.
  std::optional<PublicKey> public_key;
  // Points into the parsed value. One address or a list; rum checks it, not this parser.
  std::string_view destination;
};

// The NUL after the destination is optional at the end of the record.
Parsed<Record> ParseRecord(Bytes value);

}  // namespace rum::mysql
