// The capability flags of the handshake: one table has their names and the first server versions
// with them, and decides what a greeting of a given version may offer.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace rum::mysql {

enum Capability : uint64_t {
  kLongPassword = 1u << 0,  // if clear, the sender is MariaDB and uses 32 more flags
  kFoundRows = 1u << 1,
  kLongFlag = 1u << 2,
  kConnectWithDb = 1u << 3,
  kNoSchema = 1u << 4,
  kCompress = 1u << 5,
  kOdbc = 1u << 6,
  kLocalFiles = 1u << 7,
  kIgnoreSpace = 1u << 8,
  kProtocol41 = 1u << 9,
  kInteractive = 1u << 10,
  kSsl = 1u << 11,
  kIgnoreSigpipe = 1u << 12,
  kTransactions = 1u << 13,
  kReserved = 1u << 14,
  kSecureConnection = 1u << 15,
  kMultiStatements = 1u << 16,
  kMultiResults = 1u << 17,
  kPsMultiResults = 1u << 18,
  kPluginAuth = 1u << 19,
  kConnectAttributes = 1u << 20,
  kLengthEncodedAuth = 1u << 21,
  kExpiredPasswords = 1u << 22,
  kSessionTrack = 1u << 23,
  kDeprecateEof = 1u << 24,
  kOptionalMetadata = 1u << 25,  // MySQL only, like the next two
  kZstd = 1u << 26,
  kQueryAttributes = 1u << 27,
  kMultiFactor = 1u << 28,  // MySQL only; matters only during the login
  kRememberOptions = 1u << 31,
  // MariaDB's extended flags, from kFurther on.
  kProgress = 1ull << 32,
  kBulkOperations = 1ull << 34,
  kExtendedMetadata = 1ull << 35,
  kCacheMetadata = 1ull << 36,
  kBulkUnitResults = 1ull << 37,
};

constexpr unsigned kFurther = 32;

// Flags of one kind of server that change the format: without one of them, the server and a client
// that uses it would misread each other.
constexpr uint64_t kChangesWhatFollows = kOptionalMetadata | kQueryAttributes | kBulkOperations |
                                         kExtendedMetadata | kCacheMetadata | kBulkUnitResults;

// Flags of every server since MySQL 5.5.7 and MariaDB 5.5 (CLIENT_BASIC_FLAGS in their
// include/mysql_com.h), and of all servers that speak their protocol. A server without one of them
// affects no greeting but its own.
constexpr uint64_t kFloor = kConnectWithDb | kProtocol41 | kSecureConnection | kPluginAuth;

// The session is compressed after the login, by zlib or zstd.
constexpr uint64_t kCompresses = kCompress | kZstd;
constexpr uint32_t kFirstZstd = 80018;  // MySQL version

// A server's kind and version, as MAJOR * 10000 + MINOR * 100 + PATCH.
struct ServerVersion {
  bool mariadb = false;
  uint32_t number = 0;
};

// Parses "8.0.40", "11.8.6-MariaDB" or "5.5.5-10.11.0-MariaDB". Number 0: no version at the start.
ServerVersion ReadVersion(std::string_view text);

// The version of the server that sent this greeting. Any server with MariaDB's extended flags is
// MariaDB, whatever its name. MariaDB before 10.2 has no extended flags and sets LONG_PASSWORD, as
// MySQL does; its name identifies it. A server with neither counts as MySQL, as clients treat it.
ServerVersion VersionOf(std::string_view text, uint64_t capabilities);

// The flags that rum offers under a version: those that every server from that version on has and
// that rum can pass on. Never kCompresses or kSsl.
uint64_t OfferedCapabilities(const ServerVersion& version);

// "DEPRECATE_EOF, PLUGIN_AUTH" for the known flags in `bits`.
std::string NameCapabilities(uint64_t bits);
// "81fff7df"; with MariaDB's extended flags in front, "1d81fff7df".
std::string HexOf(uint64_t bits);

}  // namespace rum::mysql
