// The module's options, and the configuration that is made of them: a value that never changes.
#pragma once

#include <rum/module.h>

#include <cstddef>
#include <cstdint>
#include <string>

#include "pgsql/route.h"
#include "pgsql/secret.h"

namespace rum::pgsql {

enum class UpstreamTls : uint8_t {
  kAsRum,    // --upstream-tls, of which mirror, the default, is kPrefer
  kPrefer,   // where the server has it; a client that came by TLS never goes on without
  kMirror,   // just for clients that came by TLS
  kOff,      // never
  kRequire,  // always
};

struct Config {
  KeyRule keys;
  bool unknown_to_default = true;  // names that the map does not know go to -d
  bool rewrites = true;            // where a verifier or a hash is stored
  UpstreamTls upstream_tls = UpstreamTls::kAsRum;
  bool clear_text = false;    // passwords may go to servers by TCP without TLS
  bool socket_trust = false;  // servers behind unix sockets may let in without a proof
  bool application_address = false;
  std::string probe_user;
  Key mock_secret;  // for the salts of unknown users
};

// The table for the module's description.
constexpr size_t kOptionCount = 9;
extern const rum_option kOptions[kOptionCount];

// `values` are in the order of kOptions, NULL for what was not given and has no default. Nothing is
// wrong with any of them: rum has checked the choices. Without the secret.
Config ReadConfig(const char* const* values);

}  // namespace rum::pgsql
