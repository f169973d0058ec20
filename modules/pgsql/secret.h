// Stored passwords of PostgreSQL, as pg_authid holds them: SCRAM verifiers (RFC 5803) and MD5
// hashes. Pure; throws nothing but std::bad_alloc. Keys are wiped when they are destroyed.
#pragma once

#include <openssl/crypto.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace rum::pgsql {

constexpr size_t kKeySize = 32;  // of SHA-256
constexpr size_t kMaxSalt = 64;  // bytes; as rum-map accepts. Servers use 16 or 32.
// Nine digits, as rum-map accepts. Only clients hash this often: rum never does.
constexpr uint32_t kMaxIterations = 999'999'999;

template <class Byte, size_t kSize>
struct Wiped {
  Wiped() = default;
  Wiped(const Wiped&) = default;
  Wiped& operator=(const Wiped&) = default;
  ~Wiped() { OPENSSL_cleanse(bytes.data(), bytes.size()); }

  std::string_view text() const {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }

  std::array<Byte, kSize> bytes{};
};

using Key = Wiped<uint8_t, kKeySize>;

// StoredKey and ServerKey are not enough to log in. StoredKey and a recorded proof yield ClientKey,
// which is.
struct ScramVerifier {
  uint32_t iterations = 0;
  std::string salt;  // bytes, 1 to kMaxSalt
  Key stored_key;
  Key server_key;
};

// SCRAM-SHA-256$ITERATIONS:SALT$STOREDKEY:SERVERKEY. nullopt: the text is of another form.
std::optional<ScramVerifier> ParseScramVerifier(std::string_view text);

// md5(password + user) in hexadecimal: whoever has it can log in.
struct Md5Hash {
  Wiped<char, 32> digits;
};

// `md5` and 32 digits in lower case, as servers write them; PostgreSQL hashes the digits, so that
// capitals would be another password. nullopt: the text is of another form.
std::optional<Md5Hash> ParseMd5Hash(std::string_view text);

constexpr size_t kMd5Salt = 4;     // bytes, which the server chooses for each login
constexpr size_t kMd5Answer = 35;  // bytes: md5 and 32 digits

// The answer of a client that knows the hash, without the NUL behind it. nullopt: the salt has
// another size, or the library has no MD5, as in FIPS mode.
std::optional<std::string> MakeMd5Answer(const Md5Hash& hash, std::string_view salt);

// Whether a client's answer, without the NUL, is the right one. Takes the same time for each
// answer of the right size.
bool CheckMd5Answer(const Md5Hash& hash, std::string_view salt, std::string_view answer);

}  // namespace rum::pgsql
