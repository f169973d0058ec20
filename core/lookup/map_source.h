// Where records of users come from: the sources of -M, in their order. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "map/map_record.h"

namespace rum {

// One source, as -M names it. `{user}` in key, field and target stands for the user's name.
struct MapSource {
  enum class Kind : uint8_t { kFile, kRedis, kHttp };
  Kind kind = Kind::kFile;
  std::string text;  // as given, without a password: for messages and labels
  std::string path;  // of the file, or of the unix socket; empty: TCP
  bool tls = false;
  std::string host;  // a name or a numeric address, without brackets
  uint16_t port = 0;

  // Redis: GET key, or HGET key field.
  std::string user;  // of AUTH; empty: the default user
  uint32_t database = 0;
  std::string key, field;
  std::string marker{kMapMarker};       // a key that is there while the map is complete
  std::string channel = "rum:changed";  // names users whose record has changed

  // The server is the one that these Sentinels name as the master. `tls` is for both.
  struct Host {
    std::string name;
    uint16_t port = 0;
  };
  std::vector<Host> sentinels;  // empty: `host` is the server
  std::string master;

  std::string target;  // HTTP: the path

  bool remote() const { return kind != Kind::kFile; }
};

// At most this many sources.
inline constexpr size_t kMapSourcesMost = 8;

// Parses the value of -M: sources separated by commas, at most one of them a file. A text without a
// scheme is one file, whatever is in its name; commas between Sentinels separate no sources. Errors
// name the source, and never show a password.
Result<std::vector<MapSource>> ParseMapSources(std::string_view text);

// Parses the value of --share: redis://, rediss:// or redis+sock:, with ?key= as the prefix of all
// keys. Errors never show a password.
Result<MapSource> ParseShare(std::string_view text);

// `{user}` replaced by these bytes, wherever it stands.
std::string ForUser(std::string_view pattern, std::string_view user);

// Bytes that are not unreserved in RFC 3986 as %XX, so that a name is one segment of a path.
std::string PercentEncoded(std::string_view bytes);

}  // namespace rum
