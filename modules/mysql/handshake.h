// The two packets that open a login: the server's greeting and the client's response to it.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "mysql/reader.h"

namespace rum::mysql {

constexpr size_t kNonceSize = 20;
using Nonce = std::array<uint8_t, kNonceSize>;

// The servers take this much of connection attributes and refuse more.
constexpr size_t kMaxAttributes = 65535;

constexpr std::string_view kNativePlugin = "mysql_native_password";
constexpr std::string_view kCachingSha2Plugin = "caching_sha2_password";
// No server has it, so that each asks for the plugin of the account: that one request is what the
// relay rests on, and each client understands one.
constexpr std::string_view kNoPlugin = "rum_has_no_plugin";
// The same for this server. MySQL Router answers an unknown name with error 2059 inside TLS; it
// asks for the plugin of the account when the client names sha256_password, whatever account that
// is.
std::string_view NoPluginFor(std::string_view server_version);

// Protocol version 10, the only one since MySQL 3.21.
struct Greeting {
  std::string version;
  uint32_t connection_id = 0;
  Nonce nonce{};
  uint64_t capabilities = 0;
  uint8_t charset = 45;
  uint16_t status = 2;  // autocommit
  std::string plugin;   // empty without PLUGIN_AUTH
};

// The whole packet, sequence 0. The capabilities hold at least SECURE_CONNECTION. With MariaDB's
// further ones LONG_PASSWORD is cleared, which says that they are there.
std::string BuildGreeting(const Greeting& greeting);

// Reads the payload of a server's greeting (an ERR in its place is ParseError's).
Parsed<Greeting> ParseGreeting(Bytes payload);

// HandshakeResponse41. Strings hold raw bytes in the client's character set.
struct Response {
  uint64_t capabilities = 0;
  uint32_t max_packet = 1 << 24;
  uint8_t charset = 45;
  std::string user;
  std::string auth;        // what the plugin answered to the greeting's nonce
  std::string database;    // with CONNECT_WITH_DB; may be empty
  std::string plugin;      // with PLUGIN_AUTH; may be empty
  std::string attributes;  // with CONNECT_ATTRS: the pairs as they came, not interpreted
  uint8_t zstd_level = 0;  // with ZSTD_COMPRESSION: 1 to 22; servers refuse others
};

// What the first bytes of a client's first packet say about the rest.
enum class ResponseKind : uint8_t {
  kProtocol41,  // ParseResponse reads it
  kSslRequest,  // 32 bytes and the SSL flag: a TLS handshake is to follow
  kTooOld,      // before MySQL 4.1: it expects an error without an SQL state
};
// `to_mysql`: the client believes to speak to MySQL, which takes a request for TLS of 4 bytes, too.
ResponseKind KindOfResponse(Bytes payload, bool to_mysql);

// Clients leave out a field that the greeting did not promise, and set its flag all the same:
// `promised` says which flags have fields. The value has all flags as they came.
// A flag without its field, and a field that runs over the end, are refused as servers refuse them.
// The NUL of the last string may be missing, and bytes after the last field are dropped: MariaDB
// does the same.
Parsed<Response> ParseResponse(Bytes payload, uint64_t promised = ~uint64_t{0});

// The name of a character set that servers refuse as a client's, for ASCII has other bytes in it;
// MariaDB counts that as an error of the address. Empty: another one. The numbers are those of the
// collations, which no server has changed.
std::string_view CharsetOfNoClient(uint8_t charset);

// The whole packet for a server, in the form that `response.capabilities` demand: fields without
// their flag are left out. LONG_PASSWORD is set unless MariaDB's further capabilities are in force,
// which are the last four of the 23 bytes that are zeroes else.
std::string BuildResponse(const Response& response, uint8_t sequence);

// The request for TLS: the first 32 bytes of that response, with the flag SSL.
std::string BuildSslRequest(const Response& response, uint8_t sequence);

}  // namespace rum::mysql
