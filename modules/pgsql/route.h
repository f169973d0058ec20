// The keys of a client in the map, in the order of the lookups. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "pgsql/startup.h"

namespace rum::pgsql {

enum class KeyKind : uint8_t { kUser, kDatabase, kUserAtDatabase };

struct KeyRule {
  KeyKind kind = KeyKind::kUser;
  bool hosts = false;  // the server name of TLS is a key, too
};

// The key for clients that have no record of their own.
constexpr std::string_view kFallback = "*";

struct RouteKey {
  std::string key;
  bool names_user;  // its secret is that of the user
};

// user:           alice, *
// database:       app, *          (a client without a database: its user)
// user@database:  alice@app, alice@*, *@app, *
// With `hosts` and a server name of TLS, first each of them behind HOST/. Names that contain what
// separates names have a backslash before it: \@ in user@database, \/ with `hosts`, and \\ in both.
std::vector<RouteKey> FindKeys(KeyRule rule, const Startup& startup, std::string_view host);

// The same for a name as the log and --explain have it: "alice", "app" or "alice@app".
std::vector<RouteKey> FindKeysOf(KeyRule rule, std::string_view name);

// The user in the log and in the limits.
std::string NameOf(KeyRule rule, const Startup& startup);

}  // namespace rum::pgsql
