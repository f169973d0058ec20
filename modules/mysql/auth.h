// mysql_native_password: creates nonces, checks a client's token against the stored hash, and
// derives the token for a server's nonce. Sees hashes, never a password.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "mysql/handshake.h"
#include "mysql/reader.h"

namespace rum::mysql {

constexpr size_t kHashSize = 20;
using Hash = std::array<uint8_t, kHashSize>;

// From the kernel's random bytes, 0x21 to 0x7e without '$', as in servers: some clients treat the
// nonce as a string. nullopt: the kernel gave no random bytes.
std::optional<Nonce> MakeNonce();

// With S = SHA1(SHA1(password)) stored, a token is SHA1(password) XOR SHA1(nonce, S). Returns
// SHA1(password) if the token proves it, else nullopt, in constant time for 20-byte tokens. The
// result can log in: erase it with Wipe().
std::optional<Hash> CheckToken(Bytes token, const Nonce& nonce, const Hash& stored);

// The token for another nonce.
std::optional<Hash> MakeToken(const Hash& password_hash, const Nonce& nonce, const Hash& stored);

void Wipe(Hash* hash);
void Wipe(std::string* text);

}  // namespace rum::mysql
