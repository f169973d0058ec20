// The module's options, and the configuration that is made of them: a value that never changes,
// and a way to what is known of the servers.
#pragma once

#include <rum/module.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "mysql/capabilities.h"
#include "mysql/fleet.h"
#include "mysql/reader.h"
#include "mysql/rsa.h"

namespace rum::mysql {

enum class AuthMode : uint8_t {
  kAuto,     // rewrite for a client without PLUGIN_AUTH whose hash is stored, else relay
  kRelay,    // always let server and client agree
  kRewrite,  // check and rewrite wherever a hash is stored
};

enum class ChangeUserMode : uint8_t {
  kAllow,  // as the servers have it
  kSame,   // only to the user who logged in
  kDeny,
};

struct Config {
  Promise promise;               // what greetings say, until or instead of what servers teach
  bool learns = true;            // greetings follow the servers
  uint64_t capabilities = 0;     // the most that a greeting promises, learned or not
  std::shared_ptr<Fleet> fleet;  // shared by all configurations that there are
  AuthMode auth = AuthMode::kAuto;
  ChangeUserMode change_user = ChangeUserMode::kAllow;
  bool unknown_to_default = true;  // users that the map does not know go to -d
  bool client_attributes = false;  // tell servers who the client is
  // Connections to servers that outlive their session, as this user in between.
  struct Reuse {
    uint32_t most = 0;  // of one server; 0: none
    uint64_t idle = 0;  // milliseconds
    std::string user;
    std::shared_ptr<const Secret> password;
  };
  Reuse reuse;
  // Names that servers behind unix sockets have for the user that rum runs as. Nothing: not known.
  std::optional<std::vector<std::string>> socket_users;
};

// The table for the module's description.
constexpr size_t kOptionCount = 13;
extern const rum_option kOptions[kOptionCount];

// The first line of a file that others cannot read.
Parsed<std::shared_ptr<const Secret>> ReadPasswordFile(const std::string& path);

// `values` are in the order of kOptions, NULL for what was not given and has no default.
Parsed<Config> ReadConfig(const char* const* values, size_t count);

// What a greeting says now. Character set and plugin are the servers' in any case: no option tells
// them. Where rum judges proofs, the plugin is the one that it can judge.
Promise PromiseNow(const Config& config, const Fleet::Snapshot& snapshot);

// For the hook `stats`.
std::string Describe(const Config& config, const Fleet::Snapshot& snapshot,
                     const Fleet::Summary& summary);

}  // namespace rum::mysql
