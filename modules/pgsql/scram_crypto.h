// What SCRAM-SHA-256 computes with (RFC 5802): HMAC, SHA-256, base64, nonces, and the hash of a
// certificate for channel binding (RFC 5929). Pure, but for the random bytes of nonces.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "pgsql/secret.h"

namespace rum::pgsql {

// False: the library failed.
[[nodiscard]] bool HmacSha256(const Key& key, std::string_view text, Key* result);
[[nodiscard]] bool Sha256(const Key& key, Key* result);

Key Xor(const Key& one, const Key& other);
// In a time that does not depend on the bytes.
bool IsSame(const Key& one, const Key& other);

std::string EncodeBase64(std::string_view bytes);
// Padded text of the standard alphabet, without blanks. nullopt: it is none, or has more bytes.
std::optional<std::string> DecodeBase64(std::string_view text, size_t max_bytes);
// Leaves no copy of the key behind. False: it is not the base64 of kKeySize bytes.
[[nodiscard]] bool DecodeKey(std::string_view text, Key* key);

// 18 random bytes as 24 printable characters, as servers and libpq choose them. nullopt: the
// kernel gave no random bytes.
std::optional<std::string> MakeScramNonce();

constexpr size_t kMaxCertificate = 64 * 1024;  // bytes

// tls-server-end-point: the certificate (DER), hashed by the digest of its signature, or by
// SHA-256 in place of MD5 and SHA-1. nullopt: it is no certificate, or its signature has no digest,
// as with Ed25519; then no channel binding is possible, and PLUS must not be offered or chosen.
std::optional<std::string> HashForBinding(std::string_view certificate);

}  // namespace rum::pgsql
