// What a session leaves to the next one with its server's connection, and which session may take
// it: pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "mysql/capabilities.h"
#include "mysql/handshake.h"
#include "mysql/reader.h"

namespace rum::mysql {

// Nothing of these is brought back by a change of the user: the sql_mode that the flag sets, and
// what compression holds back.
constexpr uint64_t kNeverKept = kIgnoreSpace | kCompresses;

struct KeptServer {
  Greeting greeting;      // of the server
  uint64_t in_force = 0;  // capabilities toward the server
};

// Nothing: it is too long to be kept.
std::optional<std::string> WriteKeptServer(const KeptServer& server);
Parsed<KeptServer> ReadKeptServer(std::string_view text);

// All that a connection keeps of the client that it was made for, and that no change of the user
// moves: equal keys, equal connections.
struct ReuseKey {
  uint64_t capabilities = 0;  // that the client uses and rum offered
  uint32_t max_packet = 0;
  uint8_t charset = 0;
  int32_t tls_mode = 0;  // toward servers
  bool client_tls = false;
  bool rewrites = false;
  std::string_view user = {};  // that connections belong to meanwhile
};
std::string WriteReuseKey(const ReuseKey& key);

}  // namespace rum::mysql
