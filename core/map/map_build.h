// Makes a map out of its text form: all errors with file and line, and a new file only without any.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "map/map_text.h"

namespace rum {

struct MapBuildOptions {
  std::string out;           // the map
  std::string in = "-";      // the text; `-` is standard input
  bool last_wins = false;    // of several lines of one user the last counts; else they are errors
  bool allow_empty = false;  // a map without any user may be made; else that is an error
  // Called now and then, and before the map is replaced, with what is being done and how far it is;
  // false gives up.
  std::function<bool(const char* doing, uint64_t done)> progress;
};

struct MapBuilt {
  uint64_t users = 0;
  uint64_t dropped = 0;  // lines that a later one of the same user replaces
  uint64_t bytes = 0;
  OddNames odd_names;
  uint32_t alike = 0;      // the most users whose names have one hash
  std::string alike_user;  // one of these
};

// A file at `out` is replaced only when it is empty or a CDB file, whole or broken, and not the
// input: else a name on the command line is not what it was meant to be.
// Needs about 16 bytes of memory a user beside the page cache. Errors of the input go to
// `problems`, as "FILE:LINE: what is wrong", at most 20 and a last line that counts the others; the
// result is then an error, too.
Result<MapBuilt> BuildMap(const MapBuildOptions& options, std::vector<std::string>* problems);

}  // namespace rum
