// The module's options, and the configuration made from them: an immutable value, and access to
// what is known about the servers.
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
  kAuto,     // rewrite if the client lacks PLUGIN_AUTH and a hash is stored, else relay
  kRelay,    // always let server and client authenticate each other
  kRewrite,  // check and rewrite whenever a hash is stored
};

enum class ChangeUserMode : uint8_t {
  kAllow,  // leave it to the servers
  kSame,   // only for the user who logged in
  kDeny,
};

struct Config {
  Promise promise;            // content of greetings without, or until, knowledge about the servers
  bool learns = true;         // greetings follow the servers
  uint64_t capabilities = 0;  // upper bound for greetings, learned or not
  std::shared_ptr<Fleet> fleet;  // shared by all configurations
  AuthMode auth = AuthMode::kAuto;
  ChangeUserMode change_user = ChangeUserMode::kAllow;
  bool unknown_to_default = true;  // users that are not in the map go to -d
  bool client_attributes = false;  // tell servers the client's address and user
  // Connections to servers that outlive their session, as this user in between.
  struct Reuse {
    uint32_t most = 0;  // of one server; 0: none
    uint64_t idle = 0;  // milliseconds
    std::string user;
    std::shared_ptr<const Secret> password;
  };
  Reuse reuse;
  // Names that servers on unix sockets give to rum's system user. nullopt: unknown.
  std::optional<std::vector<std::string>> socket_users;
};

// The options in the module's description.
constexpr size_t kOptionCount = 13;
extern const rum_option kOptions[kOptionCount];

// The first line of a file that others cannot read.
Parsed<std::shared_ptr<const Secret>> ReadPasswordFile(const std::string& path);

// `values` are in the order of kOptions; NULL: not given, and no default.
Parsed<Config> ReadConfig(const char* const* values, size_t count);

// The content of a greeting now. Character set and plugin always follow the servers, as no option
// sets them. If rum checks passwords itself, the plugin is one that it can check.
Promise PromiseNow(const Config& config, const Fleet::Snapshot& snapshot);

// For the hook `stats`.
std::string Describe(const Config& config, const Fleet::Snapshot& snapshot,
                     const Fleet::Summary& summary);

}  // namespace rum::mysql
