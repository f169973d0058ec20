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
  kAsRum,    // as --upstream-tls, whose default, mirror, means kPrefer here
  kPrefer,   // if the server has it; if not, clients that use TLS are refused
  kMirror,   // only for clients that use TLS
  kOff,      // never
  kRequire,  // always
};

struct Config {
  KeyRule keys;
  bool unknown_to_default = true;  // users without a record go to -d
  bool rewrites = true;            // where a verifier or a hash is stored
  UpstreamTls upstream_tls = UpstreamTls::kAsRum;
  bool clear_text = false;    // passwords may go to servers by TCP without TLS
  bool socket_trust = false;  // servers behind unix sockets may accept logins without a proof
  bool application_address = false;
  std::string probe_user;
  Key mock_secret;  // for the salts of unknown users
};

// The table for the module's description.
constexpr size_t kOptionCount = 9;
extern const rum_option kOptions[kOptionCount];

// `values` are in the order of kOptions, NULL if not given and without a default. rum has checked
// the choices. Does not set mock_secret.
Config ReadConfig(const char* const* values);

}  // namespace rum::pgsql
