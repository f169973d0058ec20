// What a server says during a login: OK, ERR, a switch of the plugin, more data for the plugin.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "mysql/handshake.h"
#include "mysql/reader.h"

namespace rum::mysql {

enum class ReplyKind : uint8_t {
  kOk,          // the login is over
  kError,       // the login is over
  kSwitch,      // another plugin and nonce; the client answers
  kNextFactor,  // MySQL: another proof by another plugin; the client answers
  kOldSwitch,   // back to the passwords before MySQL 4.1
  kFastAuthOk,  // caching_sha2_password knows the client; OK follows without an answer
  kMore,        // anything else: the client answers with one packet
};
ReplyKind KindOfReply(Bytes payload);

// An ERR packet. `state` is the SQL state, five characters, empty where the packet has none: in
// place of a greeting and toward clients before MySQL 4.1.
struct ServerError {
  uint16_t code = 0;
  std::string state;
  std::string text;
};
Parsed<ServerError> ParseError(Bytes payload);
std::string BuildError(const ServerError& error, uint8_t sequence);

// The SQL state of errors that come without one; "HY000" for those that have no own.
std::string_view StateOfError(uint16_t code);

// AuthSwitchRequest and AuthNextFactor: the plugin that is asked for, and what it is told, which is
// its own affair: a nonce for most. Both point into the payload.
struct PluginRequest {
  std::string_view plugin;
  Bytes data;
};
Parsed<PluginRequest> ParsePluginRequest(Bytes payload);
std::string BuildNativeSwitch(const Nonce& nonce, uint8_t sequence);

}  // namespace rum::mysql
