// The OK that ends a login, and what MariaDB's clients since 11.4 look for in it: a sentence that
// only who knows the hash of the password can write, and that vouches for the TLS certificate.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "mysql/handshake.h"
#include "mysql/reader.h"

namespace rum::mysql {

// All but the info point into the payload that was parsed.
struct OkPacket {
  Bytes head;  // mark, rows, id, status and warnings, as they came
  std::string_view info;
  Bytes tail;  // what follows the info: changes of the session's state
};

// Servers write a length before the info, whether or not SESSION_TRACK is in force.
Parsed<OkPacket> ParseOk(Bytes payload);

// The payload anew.
std::string BuildOk(const OkPacket& ok);

// Whether the info is of the form that MakeCertificateProof() writes.
bool IsCertificateProof(std::string_view info);

using Fingerprint = std::array<uint8_t, 32>;

// 0x01 and, in 64 capital hexadecimal digits, SHA256(hash, scramble, SHA256(certificate)). The hash
// is what the server stores: SHA1(SHA1(password)), or a public key (record.h). The scramble is the
// last one that the client heard in a greeting or for mysql_native_password. Nothing: SHA256
// failed.
std::optional<std::string> MakeCertificateProof(Bytes hash, const Nonce& scramble,
                                                const Fingerprint& certificate);

}  // namespace rum::mysql
