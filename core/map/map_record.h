// The value of a map record: secret, NUL, destination, NUL, rules.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace rum {

// The key that a map in Redis has while it is complete, unless marker= names another.
inline constexpr std::string_view kMapMarker = "rum:map:id";

// Views into the parsed value.
struct MapRecord {
  std::string_view secret;       // empty: not stored
  std::string_view destination;  // not empty
  std::string_view tail;         // after the second NUL: see map_rules.h
};

// The NUL after the destination may be missing if no rules follow. Errors complete the sentence
// "user 'x' ...".
Result<MapRecord> ParseMapRecord(std::string_view value);

// The inverse; secret and destination must not contain NUL.
std::string FormatMapRecord(const MapRecord& record);

// `*` and 40 hexadecimal digits, SHA1(SHA1(password)); a public key: `ed25519:` and 43 characters
// of base64, or `parsec:P`, a digit, a colon, 24 characters of base64, a colon, and 43; a verifier
// of RFC 5803, SCRAM-SHA-256$COUNT:SALT$STOREDKEY:SERVERKEY (or SCRAM-SHA-1, -512); `md5` and 32
// hexadecimal digits, md5(password and user); or a hash of crypt(5), $ID$.... Only the text is
// looked at: whether the module can use it is the module's to say. A password in plain text is none
// of these.
bool IsHashedSecret(std::string_view secret);

}  // namespace rum
