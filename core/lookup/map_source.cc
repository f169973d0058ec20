#include "lookup/map_source.h"

#include <sys/un.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <optional>
#include <utility>

#include "base/address.h"
#include "config.h"

namespace rum {
namespace {

constexpr std::string_view kUser = "{user}";
constexpr std::string_view kSentinel = "sentinel://", kSentinelTls = "sentinels://";
constexpr uint16_t kRedisPort = 6379, kSentinelPort = 26379;
constexpr size_t kSentinelsMost = 16;
constexpr size_t kTextMost = 4096;
constexpr size_t kPrefixMost = 200;

Error Bad(std::string text) { return Error{Fault::kConfig, std::move(text)}; }

struct Scheme {
  std::string_view prefix;
  MapSource::Kind kind;
  bool tls, local;
};
constexpr Scheme kSchemes[] = {
    {"redis://", MapSource::Kind::kRedis, false, false},
    {"rediss://", MapSource::Kind::kRedis, true, false},
    {"redis+sock:", MapSource::Kind::kRedis, false, true},
    {kSentinel, MapSource::Kind::kRedis, false, false},
    {kSentinelTls, MapSource::Kind::kRedis, true, false},
    {"http://", MapSource::Kind::kHttp, false, false},
    {"https://", MapSource::Kind::kHttp, true, false},
    {"http+unix:", MapSource::Kind::kHttp, false, true},
};

bool NamesSentinels(const Scheme& scheme) {
  return scheme.prefix == kSentinel || scheme.prefix == kSentinelTls;
}

const Scheme* SchemeOf(std::string_view text) {
  auto found = std::find_if(std::begin(kSchemes), std::end(kSchemes),
                            [&](const Scheme& one) { return text.starts_with(one.prefix); });
  return found == std::end(kSchemes) ? nullptr : found;
}

// What looks like a source on another machine, but is none: as the name of a file, it would be one
// that is never there.
bool LooksRemote(std::string_view text) {
  constexpr std::string_view kWords[] = {"redis", "sentinel", "http", "unix", "sock", "tcp", "tls"};
  const std::string_view scheme = text.substr(0, text.find(':'));
  if (scheme.size() == text.size() || scheme.find('/') != scheme.npos) return false;
  std::string word;
  for (unsigned char c : scheme) word += static_cast<char>(std::tolower(c));
  return text.find("://") != text.npos || text.find(kUser) != text.npos ||
         std::any_of(std::begin(kWords), std::end(kWords),
                     [&](std::string_view one) { return word.starts_with(one); });
}

std::string_view Trimmed(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t");
  if (begin == text.npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t") + 1 - begin);
}

// A file's name may have commas only if it is the only source. Those of a list of Sentinels are
// before its first slash.
std::vector<std::string_view> Split(std::string_view text) {
  std::vector<std::string_view> parts;
  while (true) {
    text.remove_prefix(std::min(text.find_first_not_of(" \t"), text.size()));
    const Scheme* scheme = SchemeOf(text);
    const size_t hosts =
        scheme && NamesSentinels(*scheme) ? text.find('/', scheme->prefix.size()) : 0;
    const size_t comma = hosts == text.npos ? hosts : text.find(',', hosts);
    parts.push_back(Trimmed(text.substr(0, comma)));
    if (comma == text.npos) break;
    text.remove_prefix(comma + 1);
  }
  if (std::none_of(parts.begin(), parts.end(), [](auto part) { return SchemeOf(part); })) return {};
  return parts;
}

std::string_view Cut(std::string_view& rest, char mark) {
  const size_t at = rest.find(mark);
  const std::string_view part = rest.substr(0, at);
  rest = at == rest.npos ? std::string_view() : rest.substr(at + 1);
  return part;
}

std::optional<std::string> Decoded(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    unsigned byte = 0;
    const std::string_view digits = text.substr(i + 1, 2);
    auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), byte, 16);
    if (digits.size() != 2 || error != std::errc() || end != digits.data() + 2) return {};
    out += static_cast<char>(byte);
    i += 2;
  }
  return out;
}

template <class T>
bool ReadNumber(std::string_view text, T& number) {
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size();
}

// HOST, HOST:PORT or [IPV6]:PORT.
Result<MapSource::Host> ReadHost(std::string_view text, uint16_t port) {
  std::string address = "tcp:" + std::string(text);
  const bool has_port =
      text.rfind(':') != text.npos && text.rfind(':') + 1 < text.size() && !text.ends_with(']');
  if (!has_port) address += ":" + std::to_string(port);
  auto parsed = ParseAddress(address);
  if (!parsed) return parsed.error();
  return MapSource::Host{parsed->host, parsed->port};
}

Status ReadServer(std::string_view text, uint16_t port, MapSource& source) {
  auto host = ReadHost(text, port);
  if (!host) return host.error();
  source.host = std::move(host->name);
  source.port = host->port;
  return Ok();
}

// HOST,HOST.../MASTER, of which the slash and the master are in `name`.
Status ReadSentinels(std::string_view hosts, std::string_view name, MapSource& source) {
  source.master = name;
  if (name.empty()) return Bad("the name of the master is missing, as in sentinel://HOST/mymaster");
  for (bool more = true; more;) {
    more = hosts.find(',') != hosts.npos;
    auto host = ReadHost(Cut(hosts, ','), kSentinelPort);
    if (!host) return host.error();
    source.sentinels.push_back(std::move(*host));
  }
  if (source.sentinels.size() > kSentinelsMost) return Bad("more than 16 Sentinels");
  return Ok();
}

Status ReadPath(std::string_view path, MapSource& source) {
  if (!path.starts_with('/') || path.size() >= sizeof(sockaddr_un::sun_path)) {
    return Bad("the path of the socket is no absolute path of less than 108 bytes");
  }
  source.path = path;
  return Ok();
}

Status ReadQuery(std::string_view query, MapSource& source, bool local) {
  while (!query.empty()) {
    std::string_view value = Cut(query, '&');
    const std::string name(Cut(value, '='));
    auto text = Decoded(value);
    if (!text) return Bad(name + "= has a % that two hexadecimal digits do not follow");
    if (name == "db" && local) {
      if (!ReadNumber(*text, source.database)) return Bad("db= is no number");
      continue;
    }
    std::string* target = name == "key"       ? &source.key
                          : name == "field"   ? &source.field
                          : name == "marker"  ? &source.marker
                          : name == "channel" ? &source.channel
                                              : nullptr;
    if (!target) return Bad("'" + name + "' is not one of key, field, marker and channel");
    *target = std::move(*text);
  }
  return Ok();
}

Status JudgeKeys(const MapSource& source) {
  if (source.key.find(kUser) == std::string::npos &&
      source.field.find(kUser) == std::string::npos) {
    return Bad("there is no {user} in key= or field=, as in ?key=rum:user:{user}");
  }
  if (source.key.empty()) return Bad("key= is missing, as in ?key=rum:user:{user}");
  if (source.marker.empty() || source.channel.empty()) return Bad("marker= or channel= is empty");
  return Ok();
}

// The server and what follows the ?.
Status ReadRedis(std::string_view rest, bool local, bool sentinel, MapSource& source) {
  std::string_view place = Cut(rest, '?');
  if (local) {
    if (Status s = ReadPath(place, source); !s) return s;
    return ReadQuery(rest, source, true);
  }
  std::string_view hosts = Cut(place, '/');
  const std::string_view master = sentinel ? Cut(place, '/') : std::string_view();
  if (!place.empty() && !ReadNumber(place, source.database)) {
    return Bad("the database behind the / is no number");
  }
  if (const size_t at = hosts.rfind('@'); at != hosts.npos) {
    auto user = Decoded(hosts.substr(0, at));
    if (!user || user->empty()) return Bad("the user before the @ is malformed");
    source.user = std::move(*user);
    hosts = hosts.substr(at + 1);
  }
  Status read =
      sentinel ? ReadSentinels(hosts, master, source) : ReadServer(hosts, kRedisPort, source);
  return read ? ReadQuery(rest, source, false) : read;
}

Status ReadHttp(std::string_view rest, const Scheme& scheme, MapSource& source) {
#ifndef HAVE_CURL
  return Bad("this build has no HTTP: it was made without libcurl");
#endif
  if (scheme.local) {
    if (Status s = ReadPath(Cut(rest, ':'), source); !s) return s;
    source.target = rest;
  } else {
    const size_t slash = rest.find('/');
    const std::string_view host = rest.substr(0, slash);
    if (slash != rest.npos) source.target = rest.substr(slash);
    if (Status s = ReadServer(host, scheme.tls ? 443 : 80, source); !s) return s;
  }
  if (!source.target.starts_with('/') || source.target.find(kUser) == std::string::npos) {
    return Bad("the path has no {user}, as in http://HOST/users/{user}");
  }
  const bool plain = std::all_of(source.target.begin(), source.target.end(),
                                 [](unsigned char c) { return c > ' ' && c < 0x7f && c != '#'; });
  if (!plain) return Bad("the path has a character that must be written as %XX");
  return Ok();
}

Status ReadRedisMap(std::string_view rest, const Scheme& scheme, MapSource& source) {
  if (Status s = ReadRedis(rest, scheme.local, NamesSentinels(scheme), source); !s) return s;
  return JudgeKeys(source);
}

// The part of a URL that may have a user and a password: before the first / or ?.
bool HasPassword(std::string_view rest) {
  const std::string_view place = rest.substr(0, rest.find_first_of("/?"));
  const size_t at = place.rfind('@');
  return at != place.npos && place.substr(0, at).find(':') != place.npos;
}

// What all sources on other machines have. `option`: where a password belongs.
Status Begin(std::string_view text, const Scheme& scheme, const char* option, MapSource& source) {
  if (!scheme.local && HasPassword(text.substr(scheme.prefix.size()))) {
    return Bad(
        std::string(scheme.prefix) +
        "... has a password, which ps would show to everybody: write it to a file, and give " +
        option);
  }
  if (text.size() > kTextMost) return Bad("a source has more than 4096 bytes");
  source.kind = scheme.kind;
  source.text = text;
  source.tls = scheme.tls;
  return Ok();
}

Result<MapSource> Parse(std::string_view text) {
  MapSource source;
  const Scheme* scheme = SchemeOf(text);
  if (!scheme) {
    if (text.empty()) return Bad("a source between two commas is empty");
    if (LooksRemote(text)) {
      const std::string begin(text.substr(0, text.find(':') + 1));  // behind it may be a password
      return Bad("'" + begin +
                 "...' is no source: one begins with redis://, rediss://, redis+sock:, "
                 "sentinel://, sentinels://, http://, https:// or http+unix:, a file of such a "
                 "name with ./");
    }
    source.text = source.path = text;
    return source;
  }
  const std::string_view rest = text.substr(scheme->prefix.size());
  const bool redis = scheme->kind == MapSource::Kind::kRedis;
  const char* option = redis ? "--map-password-file" : "--map-token-file";
  if (Status s = Begin(text, *scheme, option, source); !s) return s.error();
  Status read = redis ? ReadRedisMap(rest, *scheme, source) : ReadHttp(rest, *scheme, source);
  if (!read) return Bad("'" + source.text + "': " + read.error().text);
  return source;
}

}  // namespace

Result<std::vector<MapSource>> ParseMapSources(std::string_view text) {
  std::vector<std::string_view> parts = Split(text);
  if (parts.empty()) parts.push_back(text);
  if (parts.size() > kMapSourcesMost) return Bad("more than 8 sources");
  std::vector<MapSource> sources;
  for (std::string_view part : parts) {
    auto source = Parse(part);
    if (!source) return source.error();
    for (const MapSource& other : sources) {
      if (other.text == source->text) return Bad("'" + other.text + "' is given twice");
      if (!other.remote() && !source->remote()) {
        return Bad("'" + source->text + "' is a second file: one source may be a file");
      }
    }
    sources.push_back(std::move(*source));
  }
  return sources;
}

Result<MapSource> ParseShare(std::string_view text) {
  const Scheme* scheme = SchemeOf(text);
  if (!scheme || scheme->kind != MapSource::Kind::kRedis || NamesSentinels(*scheme)) {
    return Bad("it is not redis://HOST:PORT/DB, rediss://HOST:PORT/DB or redis+sock:PATH");
  }
  const MapSource plain;
  MapSource source;
  source.key = "rum:";
  if (Status s = Begin(text, *scheme, "--share-password-file", source); !s) return s.error();
  Status read = ReadRedis(text.substr(scheme->prefix.size()), scheme->local, false, source);
  if (!read) return Bad("'" + source.text + "': " + read.error().text);
  if (!source.field.empty() || source.marker != plain.marker || source.channel != plain.channel) {
    return Bad("'" + source.text + "': only key= is understood here");
  }
  if (source.key.empty() || source.key.size() > kPrefixMost) {
    return Bad("'" + source.text + "': key= has not 1 to 200 bytes");
  }
  return source;
}

std::string ForUser(std::string_view pattern, std::string_view user) {
  std::string out;
  for (size_t at; (at = pattern.find(kUser)) != pattern.npos;) {
    out.append(pattern.substr(0, at)).append(user);
    pattern.remove_prefix(at + kUser.size());
  }
  return out.append(pattern);
}

std::string PercentEncoded(std::string_view bytes) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  std::string out;
  for (unsigned char c : bytes) {
    if (std::isalnum(c) != 0 || c == '-' || c == '.' || c == '_' || c == '~') {
      out += static_cast<char>(c);
    } else {
      out += {'%', kDigits[c >> 4], kDigits[c & 15]};
    }
  }
  return out;
}

}  // namespace rum
