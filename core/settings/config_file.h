// Parses configuration files: long options without dashes, one per line, with their position.
#pragma once

#include <string>
#include <vector>

namespace rum {

// `name = value`, or just a name for an option without a value.
struct ConfigItem {
  std::string name;
  std::string value;  // without quotes
  bool bare = false;  // there is no `=`
  std::string where;  // "rum.conf:12"
};

// [main] Reads `path`, then the *.conf files of the folder `path`.d in the order of their names.
// Skips empty lines, lines that begin with # or ;, and text from a # after a blank. A file has at
// most 1 MiB. Errors are added to `errors` with their position; reading continues after them.
std::vector<ConfigItem> ReadConfigFiles(const std::string& path, std::vector<std::string>& errors);

}  // namespace rum
