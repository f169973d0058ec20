// The module's options, and the configuration that is made of them: a value that never changes.
#pragma once

#include <rum/module.h>

#include <cstddef>
#include <cstdint>
#include <string>

#include "mysql/capabilities.h"
#include "mysql/reader.h"

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
  std::string version;        // in the greeting
  uint32_t capabilities = 0;  // in the greeting, and the most that a client may use
  uint8_t charset = 45;       // in the greeting: utf8mb4_general_ci
  AuthMode auth = AuthMode::kAuto;
  ChangeUserMode change_user = ChangeUserMode::kAllow;
  bool unknown_to_default = true;  // users that the map does not know go to -d
  bool client_attributes = false;  // tell servers who the client is
};

// The table for the module's description.
constexpr size_t kOptionCount = 7;
extern const rum_option kOptions[kOptionCount];

// `values` are in the order of kOptions, NULL for what was not given and has no default.
Parsed<Config> ReadConfig(const char* const* values, size_t count);

// For the hook `stats`.
std::string DescribeConfig(const Config& config);

}  // namespace rum::mysql
