#include "pgsql/config.h"

#include <string_view>

namespace rum::pgsql {

enum Option : size_t {
  kKey,
  kSni,
  kUnknownUser,
  kAuth,
  kUpstreamTls,
  kClearText,
  kSocketTrust,
  kApplicationAddress,
  kProbeUser
};

const rum_option kOptions[kOptionCount] = {
    {"pgsql-key", "user|database|user@database", "user",
     "what the map is asked for; the record * is for all that have none of their own",
     RUM_OPTION_CHOICE, 0},
    {"pgsql-sni", nullptr, nullptr,
     "ask the map first for HOST/KEY, where HOST is the server name of a client's TLS",
     RUM_OPTION_FLAG, 0},
    {"pgsql-unknown-user", "default|deny", "default",
     "where clients go that the map does not know: to -d if there is one, or nowhere",
     RUM_OPTION_CHOICE, 0},
    {"pgsql-auth", "rewrite|relay", "rewrite",
     "rewrite checks passwords against the verifier or hash in the map, where there is one; relay "
     "lets server and client agree",
     RUM_OPTION_CHOICE, 0},
    {"pgsql-upstream-tls", "prefer|mirror|off|require", nullptr,
     "TLS to servers: where they have it, and always for clients with TLS; for these only; never; "
     "or always; without it that of --upstream-tls, where mirror is prefer",
     RUM_OPTION_CHOICE, 0},
    {"pgsql-clear-text", "refuse|allow", "refuse",
     "whether a password may go in clear text to a server without TLS", RUM_OPTION_CHOICE, 0},
    {"pgsql-socket-trust", "refuse|allow", "refuse",
     "whether servers behind sock: may let clients in without a proof; they may take rum's own "
     "system user for one",
     RUM_OPTION_CHOICE, 0},
    {"pgsql-app-name-address", nullptr, nullptr, "append the client's address to application_name",
     RUM_OPTION_FLAG, 0},
    {"pgsql-probe-user", "NAME", "rum_probe", "the role that health checks name; it need not exist",
     RUM_OPTION_TEXT, 0},
};
static_assert(kProbeUser + 1 == kOptionCount);

namespace {

UpstreamTls ReadUpstreamTls(const char* value) {
  if (value == nullptr) return UpstreamTls::kAsRum;
  const std::string_view word = value;
  if (word == "prefer") return UpstreamTls::kPrefer;
  if (word == "mirror") return UpstreamTls::kMirror;
  return word == "off" ? UpstreamTls::kOff : UpstreamTls::kRequire;
}

}  // namespace

Config ReadConfig(const char* const* values) {
  auto is = [values](Option option, std::string_view word) { return values[option] == word; };
  Config config;
  config.keys.kind = is(kKey, "user")       ? KeyKind::kUser
                     : is(kKey, "database") ? KeyKind::kDatabase
                                            : KeyKind::kUserAtDatabase;
  config.keys.hosts = values[kSni] != nullptr;
  config.unknown_to_default = is(kUnknownUser, "default");
  config.rewrites = is(kAuth, "rewrite");
  config.upstream_tls = ReadUpstreamTls(values[kUpstreamTls]);
  config.clear_text = is(kClearText, "allow");
  config.socket_trust = is(kSocketTrust, "allow");
  config.application_address = values[kApplicationAddress] != nullptr;
  config.probe_user = values[kProbeUser];
  return config;
}

}  // namespace rum::pgsql
