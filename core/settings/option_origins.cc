#include "settings/option_origins.h"

#include <algorithm>

namespace rum {
namespace {

// Whether the text names a file: as "FILE: ...", "DIR/FILE: ..." or "... 'FILE'".
bool Names(std::string_view text, std::string_view file) {
  if (file.empty()) return false;
  for (size_t at = text.find(file); at != text.npos; at = text.find(file, at + 1)) {
    const char before = at == 0 ? '/' : text[at - 1];
    const std::string_view after = text.substr(at + file.size());
    if (before == '\'' ? after.starts_with('\'')
                       : (before == '/' || before == ' ') && after.starts_with(": ")) {
      return true;
    }
  }
  return false;
}

}  // namespace

OptionOrigins::OptionOrigins(const OptionTexts& texts, const OptionPlaces& places) {
  for (const auto& [name, where] : places) {
    auto values = texts.find(name);
    if (values == texts.end()) continue;
    for (size_t i = 0; i < std::min(where.size(), values->second.size()); ++i) {
      origins_.push_back({name, values->second[i], where[i]});
    }
  }
}

std::string OptionOrigins::Locate(const std::string& error) const {
  for (const Origin& origin : origins_) {
    if (error.starts_with("--" + origin.name + ":")) return origin.place + ": " + error.substr(2);
  }
  for (const Origin& origin : origins_) {
    if (Names(error, origin.value)) return origin.place + ": " + origin.name + ": " + error;
  }
  return error;
}

}  // namespace rum
