// The options of the user map: its sources, and how those on other machines are asked.
#include <algorithm>

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
  if (!s_.map_token_file.empty() &&
      !any([](const MapSource& s) { return s.kind == MapSource::Kind::kHttp; })) {
    Wrong("--map-token-file: no source of --map is http:");
  }
  if (s_.map_timeout < Millis(10)) {
    Wrong("--map-timeout: it is less than 10ms, and a look-up must end");
  }
  if (s_.map_password_file.empty() && any([](const MapSource& s) { return !s.user.empty(); })) {
    Wrong("--map: a user of Redis needs a password: give --map-password-file");
  }
}

}  // namespace rum
