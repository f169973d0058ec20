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

// Servers accept this many bytes of connection attributes, and refuse more.
constexpr size_t kMaxAttributes = 65535;

constexpr std::string_view kNativePlugin = "mysql_native_password";
constexpr std::string_view kCachingSha2Plugin = "caching_sha2_password";
// No server has this plugin, so each one asks for the account's plugin: relaying needs this
// request, and every client understands it.
constexpr std::string_view kNoPlugin = "rum_has_no_plugin";
// The name to use for this server. MySQL Router rejects an unknown name inside TLS with error 2059;
// it asks for the account's plugin, whatever that is, if the client names sha256_password.
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

// The whole packet, sequence 0. The capabilities include at least SECURE_CONNECTION. With MariaDB's
// extended flags LONG_PASSWORD is cleared, which announces them.
std::string BuildGreeting(const Greeting& greeting);

// Parses the payload of a server's greeting; for an ERR in its place, use ParseError.
Parsed<Greeting> ParseGreeting(Bytes payload);

// HandshakeResponse41. Strings are raw bytes in the client's character set.
struct Response {
  uint64_t capabilities = 0;
  uint32_t max_packet = 1 << 24;
  uint8_t charset = 45;
  std::string user;
  std::string auth;        // the plugin's answer to the greeting's nonce
  std::string database;    // with CONNECT_WITH_DB; may be empty
  std::string plugin;      // with PLUGIN_AUTH; may be empty
  std::string attributes;  // with CONNECT_ATTRS: the pairs as received
  uint8_t zstd_level = 0;  // with ZSTD_COMPRESSION: 1 to 22; servers refuse others
};

// The kind of a client's first packet, by its first bytes.
enum class ResponseKind : uint8_t {
  kProtocol41,  // for ParseResponse
  kSslRequest,  // 32 bytes and the SSL flag: a TLS handshake follows
  kTooOld,      // before MySQL 4.1: its errors have no SQL state
};
// `to_mysql`: the client assumes MySQL, which also accepts a request for TLS of 4 bytes.
ResponseKind KindOfResponse(Bytes payload, bool to_mysql);

// Clients omit a field that the greeting did not offer, but set its flag all the same: `promised`
// says which flags have fields. The result keeps all flags as received. A flag without its field
// and a field beyond the end are refused, as by servers. The last string may lack its NUL, and
// bytes after the last field are ignored: MariaDB does the same.
Parsed<Response> ParseResponse(Bytes payload, uint64_t promised = ~uint64_t{0});

// The name of a character set that servers refuse for clients, as its bytes below 0x80 are not
// ASCII; MariaDB counts its use as an error of the address. Empty: another one. The numbers are the
// collations', the same in all servers.
std::string_view CharsetOfNoClient(uint8_t charset);

// The whole packet for a server. Fields whose flag `response.capabilities` lacks are omitted.
// LONG_PASSWORD is set unless MariaDB's extended flags are in use; these fill the last four of the
// 23 bytes that are otherwise zero.
std::string BuildResponse(const Response& response, uint8_t sequence);

// The request for TLS: the first 32 bytes of that response, with the SSL flag.
std::string BuildSslRequest(const Response& response, uint8_t sequence);

}  // namespace rum::mysql
