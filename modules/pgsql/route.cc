#include "pgsql/route.h"

#include <algorithm>

namespace rum::pgsql {
namespace {

std::string Escape(std::string_view name, std::string_view separators) {
  std::string text;
  for (char c : name) {
    if (c == '\\' || separators.find(c) != separators.npos) text += '\\';
    text += c;
  }
  return text;
}

struct Names {
  std::string user, database;  // escaped
};

// An escaped @ does not separate user and database.
size_t FindAt(std::string_view name) {
  for (size_t i = 0; i < name.size(); ++i) {
    if (name[i] == '\\') {
      ++i;
    } else if (name[i] == '@') {
      return i;
    }
  }
  return name.npos;
}

std::vector<RouteKey> KeysFor(KeyKind kind, const Names& names) {
  const std::string all(kFallback);
  switch (kind) {
    case KeyKind::kUser:
      return {{names.user, true}, {all, false}};
    case KeyKind::kDatabase:
      return {{names.database, false}, {all, false}};
    case KeyKind::kUserAtDatabase:
      break;
  }
  return {{names.user + "@" + names.database, true},
          {names.user + "@" + all, true},
          {all + "@" + names.database, false},
          {all, false}};
}

// Only what separates names in this form of a key is escaped: a user may be called a@b.
Names EscapeNames(KeyRule rule, const Startup& startup) {
  const std::string& database = startup.without_database ? startup.user : startup.database;
  const std::string_view user_ends = rule.hosts ? "@/" : "@";
  if (rule.kind == KeyKind::kUserAtDatabase) {
    return {Escape(startup.user, user_ends), Escape(database, user_ends)};
  }
  if (!rule.hosts) return {startup.user, database};
  return {Escape(startup.user, "/"), Escape(database, "/")};
}

}  // namespace

std::vector<RouteKey> FindKeys(KeyRule rule, const Startup& startup, std::string_view host) {
  std::vector<RouteKey> keys = KeysFor(rule.kind, EscapeNames(rule, startup));
  if (!rule.hosts || host.empty()) return keys;
  std::string prefix(host);
  std::transform(prefix.begin(), prefix.end(), prefix.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; });
  // Clients may send any bytes as a server name.
  prefix = Escape(prefix, "/");
  std::vector<RouteKey> all = keys;
  for (RouteKey& key : all) key.key.insert(0, prefix + "/");
  all.insert(all.end(), keys.begin(), keys.end());
  return all;
}

std::vector<RouteKey> FindKeysOf(KeyRule rule, std::string_view name) {
  if (rule.kind != KeyKind::kUserAtDatabase) {
    return KeysFor(rule.kind, {std::string(name), std::string(name)});
  }
  size_t at = FindAt(name);
  std::string user(name.substr(0, at));
  return KeysFor(rule.kind, {user, at == name.npos ? user : std::string(name.substr(at + 1))});
}

std::string NameOf(KeyRule rule, const Startup& startup) {
  return KeysFor(rule.kind, EscapeNames(rule, startup)).front().key;
}

}  // namespace rum::pgsql
