// The configuration file: long options without their dashes, one a line, and where each stands.
#pragma once

#include <string>
#include <vector>

namespace rum {

// `name = value`, or a name alone for an option that takes no value.
struct ConfigItem {
  std::string name;
  std::string value;  // without the quotes around it
  bool bare = false;  // there was no `=`
  std::string where;  // "rum.conf:12"
};

// [main] Reads `path`, then the files of the folder `path`.d that end in .conf, in the order of
// their names. Empty lines, and those that begin with # or ;, say nothing; so does what follows a #
// behind a blank. A file has at most 1 MiB. Mistakes are added to `errors`, each with its place,
// and the rest is read all the same.
std::vector<ConfigItem> ReadConfigFiles(const std::string& path, std::vector<std::string>& errors);

}  // namespace rum
