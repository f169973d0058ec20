// What a server sends during a login: OK, ERR, a switch of the plugin, more data for the plugin.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "mysql/handshake.h"
#include "mysql/reader.h"

namespace rum::mysql {

enum class ReplyKind : uint8_t {
  kOk,          // the login is complete
  kError,       // the login has failed
  kSwitch,      // another plugin and nonce; the client answers
  kNextFactor,  // MySQL: the client answers another plugin with another proof
  kOldSwitch,   // back to passwords of before MySQL 4.1
  kFastAuthOk,  // caching_sha2_password has the client in its cache; OK follows without an answer
  kMore,        // anything else: the client answers with one packet
};
ReplyKind KindOfReply(Bytes payload);

// An ERR packet. `state` is the SQL state of five characters, or empty: in place of a greeting, and
// for clients before MySQL 4.1, there is none.
struct ServerError {
  uint16_t code = 0;
  std::string state;
  std::string text;
};
Parsed<ServerError> ParseError(Bytes payload);
std::string BuildError(const ServerError& error, uint8_t sequence);

// The SQL state for errors that arrive without one; "HY000" if the code has no specific one.
std::string_view StateOfError(uint16_t code);

// AuthSwitchRequest and AuthNextFactor: the requested plugin and its data, for most plugins a
// nonce. Both point into the payload.
struct PluginRequest {
  std::string_view plugin;
  Bytes data;
};
Parsed<PluginRequest> ParsePluginRequest(Bytes payload);
std::string BuildNativeSwitch(const Nonce& nonce, uint8_t sequence);

}  // namespace rum::mysql
