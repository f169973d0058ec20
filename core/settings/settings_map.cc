// The options of what is on other machines: the sources of the user map, and shared limits.
#include <algorithm>
#include <cctype>
#include <utility>

#include "settings/settings_reader.h"

namespace rum {

void SettingsReader::ReadMap() {
  if (auto text = One("map"); text && !text->empty()) {
    if (auto sources = Take(ParseMapSources(*text), "map")) s_.map_sources = std::move(*sources);
  }
  for (const MapSource& source : s_.map_sources) {
    if (!source.remote()) s_.map = source.path;
  }
  const std::pair<const char*, std::string*> files[] = {
      {"map-password-file", &s_.map_password_file},
      {"map-sentinel-password-file", &s_.map_sentinel_password_file},
      {"map-token-file", &s_.map_token_file},
      {"map-ca", &s_.map_ca},
  };
  for (const auto& [name, target] : files) {
    if (auto text = One(name)) *target = *text;
  }
  if (auto text = One("map-cache")) {
    auto size = ReadSize(*text);
    s_.map_cache = size.value_or(0);
    if (!size) Wrong("--map-cache: '" + *text + "' is not a size from 1M on, such as 512M");
  }
}

// A file that would not be used is a mistake: the source would be asked without it.
void SettingsReader::JudgeMap() {
  auto any = [this](auto test) {
    return std::any_of(s_.map_sources.begin(), s_.map_sources.end(), test);
  };
  if (!s_.map_password_file.empty() &&
      !any([](const MapSource& s) { return s.kind == MapSource::Kind::kRedis; })) {
    Wrong("--map-password-file: no source of --map is redis:");
  }
  if (!s_.map_sentinel_password_file.empty() &&
      !any([](const MapSource& s) { return !s.sentinels.empty(); })) {
    Wrong("--map-sentinel-password-file: no source of --map is sentinel:");
  }
  if (!s_.map_token_file.empty() &&
      !any([](const MapSource& s) { return s.kind == MapSource::Kind::kHttp; })) {
    Wrong("--map-token-file: no source of --map is http:");
  }
  if (!s_.map_ca.empty() && !any([](const MapSource& s) { return s.tls; })) {
    Wrong("--map-ca: no source of --map is rediss:, sentinels: or https:");
  }
  if (s_.map_timeout < Millis(10)) {
    Wrong("--map-timeout: it is less than 10ms, and a look-up must end");
  }
  if (s_.map_password_file.empty() && any([](const MapSource& s) { return !s.user.empty(); })) {
    Wrong("--map: a user of Redis needs a password: give --map-password-file");
  }
}

// The name becomes a part of keys and of log lines.
void SettingsReader::ReadShare() {
  constexpr size_t kNameMost = 64;
  const std::pair<const char*, std::string*> texts[] = {
      {"share-password-file", &s_.share_password_file},
      {"share-ca", &s_.share_ca},
      {"share-name", &s_.share_name},
      {"share-key-file", &s_.share_key_file},
  };
  for (const auto& [name, target] : texts) {
    if (auto text = One(name)) *target = *text;
    if (Given(name) && !Given("share")) Wrong(std::string("--") + name + ": --share is not given");
  }
  for (unsigned char c : s_.share_name) {
    if (std::isalnum(c) || c == '.' || c == '-' || c == '_') continue;
    Wrong("--share-name: '" + s_.share_name + "' has other characters than A-Z a-z 0-9 . - _");
    break;
  }
  if (s_.share_name.size() > kNameMost) Wrong("--share-name: it has more than 64 characters");
  auto text = One("share");
  if (!text || *text == "off") return;
  s_.share = Take(ParseShare(*text), "share");
  if (!s_.share) return;
  if (!s_.share->user.empty() && s_.share_password_file.empty()) {
    Wrong("--share: a user of Redis needs a password: give --share-password-file");
  }
  if (!s_.share_ca.empty() && !s_.share->tls) Wrong("--share-ca: --share is not rediss:");
}

}  // namespace rum
