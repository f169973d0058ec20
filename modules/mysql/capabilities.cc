#include "mysql/capabilities.h"

#include <charconv>
#include <cstdio>

namespace rum::mysql {
namespace {

constexpr uint32_t kNever = 0xffffffff;
constexpr uint32_t kFirstOfTwoDigits = 100000;

struct Row {
  uint64_t bit;
  const char* name;
  uint32_t mysql;    // first MySQL version that rum offers it for
  uint32_t mariadb;  // the same for MariaDB
};

// Most flags above DEPRECATE_EOF belong to one kind of server; rum offers each from the first
// version in which all servers have it. MySQL 5.7 and MariaDB 10.2.0 have DEPRECATE_EOF, too, but
// their query caches answer in the old format (MySQL bug 83346): it starts with the versions
// without that fault.
constexpr Row kRows[] = {
    {kLongPassword, "LONG_PASSWORD", 0, 0},
    {kFoundRows, "FOUND_ROWS", 0, 0},
    {kLongFlag, "LONG_FLAG", 0, 0},
    {kConnectWithDb, "CONNECT_WITH_DB", 0, 0},
    {kNoSchema, "NO_SCHEMA", 0, 0},
    {kCompress, "COMPRESS", kNever, kNever},
    {kOdbc, "ODBC", 0, 0},
    {kLocalFiles, "LOCAL_FILES", 0, 0},
    {kIgnoreSpace, "IGNORE_SPACE", 0, 0},
    {kProtocol41, "PROTOCOL_41", 0, 0},
    {kInteractive, "INTERACTIVE", 0, 0},
    {kSsl, "SSL", kNever, kNever},
    {kIgnoreSigpipe, "IGNORE_SIGPIPE", 0, 0},
    {kTransactions, "TRANSACTIONS", 0, 0},
    {kReserved, "RESERVED", 0, 0},
    {kSecureConnection, "SECURE_CONNECTION", 0, 0},
    {kMultiStatements, "MULTI_STATEMENTS", 0, 0},
    {kMultiResults, "MULTI_RESULTS", 0, 0},
    {kPsMultiResults, "PS_MULTI_RESULTS", 50500, 50500},
    {kPluginAuth, "PLUGIN_AUTH", 50507, 50500},
    {kConnectAttributes, "CONNECT_ATTRS", 50600, 100000},
    {kLengthEncodedAuth, "PLUGIN_AUTH_LENENC", 50600, 100000},
    {kExpiredPasswords, "EXPIRED_PASSWORDS", 50600, 100000},
    {kSessionTrack, "SESSION_TRACK", 50700, 100200},
    {kDeprecateEof, "DEPRECATE_EOF", 80000, 100208},
    {kOptionalMetadata, "OPTIONAL_RESULTSET_METADATA", 80011, kNever},
    {kZstd, "ZSTD_COMPRESSION", kNever, kNever},
    {kQueryAttributes, "QUERY_ATTRIBUTES", 80023, kNever},
    {kMultiFactor, "MULTI_FACTOR_AUTHENTICATION", 80027, kNever},
    {kRememberOptions, "REMEMBER_OPTIONS", 0, 0},
    {kProgress, "PROGRESS", kNever, 100208},
    {kBulkOperations, "STMT_BULK_OPERATIONS", kNever, 100208},
    {kExtendedMetadata, "EXTENDED_METADATA", kNever, 100502},
    {kCacheMetadata, "CACHE_METADATA", kNever, 100600},
    {kBulkUnitResults, "BULK_UNIT_RESULTS", kNever, 110501},
};

uint32_t ReadNumber(std::string_view text) {
  uint32_t number = 0;
  const char* at = text.data();
  const char* end = at + text.size();
  for (uint32_t weight : {10000u, 100u, 1u}) {
    uint8_t part = 0;  // version parts are at most 255; others are not a version
    auto [next, error] = std::from_chars(at, end, part);
    if (error != std::errc()) return weight == 10000 ? 0 : number;
    number += part * weight;
    if (next == end || *next != '.') return number;
    at = next + 1;
  }
  return number;
}

}  // namespace

ServerVersion ReadVersion(std::string_view text) { return VersionOf(text, kLongPassword); }

ServerVersion VersionOf(std::string_view text, uint64_t capabilities) {
  ServerVersion version;
  bool named = (capabilities & kLongPassword) != 0 && text.find("MariaDB") != text.npos;
  version.mariadb = capabilities >> kFurther != 0 || named;
  // MariaDB 10 and compatible servers put this before their version, for replicas that read only
  // one digit.
  constexpr std::string_view kPrefix = "5.5.5-";
  if (text.starts_with(kPrefix)) version.number = ReadNumber(text.substr(kPrefix.size()));
  if (version.number < kFirstOfTwoDigits) version.number = ReadNumber(text);
  return version;
}

uint64_t OfferedCapabilities(const ServerVersion& version) {
  uint64_t bits = 0;
  for (const Row& row : kRows) {
    uint32_t since = version.mariadb ? row.mariadb : row.mysql;
    if (since != kNever && version.number >= since) bits |= row.bit;
  }
  return bits;
}

std::string NameCapabilities(uint64_t bits) {
  std::string names;
  for (const Row& row : kRows) {
    if ((bits & row.bit) == 0) continue;
    if (!names.empty()) names += ", ";
    names += row.name;
  }
  return names;
}

std::string HexOf(uint64_t bits) {
  char text[24];
  std::snprintf(text, sizeof text, "%08llx", static_cast<unsigned long long>(bits));
  return text;
}

}  // namespace rum::mysql
