// The OK that ends a login, and the text in it that MariaDB's clients expect since 11.4: only a
// server that knows the password's hash can compute it, and it vouches for the TLS certificate.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "mysql/handshake.h"
#include "mysql/reader.h"

namespace rum::mysql {

// All but the info point into the parsed payload.
struct OkPacket {
  Bytes head;  // mark, rows, id, status and warnings, as received
  std::string_view info;
  Bytes tail;  // after the info: changes of the session's state
};

// Servers write a length before the info, with or without SESSION_TRACK.
Parsed<OkPacket> ParseOk(Bytes payload);

// The payload, written again.
std::string BuildOk(const OkPacket& ok);

// Whether the info has the form of MakeCertificateProof().
bool IsCertificateProof(std::string_view info);

using Fingerprint = std::array<uint8_t, 32>;

// 0x01 and, in 64 upper-case hexadecimal digits, SHA256(hash, scramble, SHA256(certificate)). The
// hash is what the server stores: SHA1(SHA1(password)), or a public key (record.h). The scramble is
// the last nonce that the client received in a greeting or for mysql_native_password. nullopt:
// SHA256 failed.
std::optional<std::string> MakeCertificateProof(Bytes hash, const Nonce& scramble,
                                                const Fingerprint& certificate);

}  // namespace rum::mysql
