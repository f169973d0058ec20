// Builds a map from its text form. Errors name file and line; the map is only written if there are
// none.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "map/map_text.h"

namespace rum {

struct MapBuildOptions {
  std::string out;           // path of the map
  std::string in = "-";      // path of the text; `-`: standard input
  bool last_wins = false;    // the last line of a user wins; else duplicates are errors
  bool allow_empty = false;  // accept an input without users; else that is an error
  bool fold = false;         // the input is the map at `out` with the changes of its journal
  bool cdb = false;          // the input is a finished CDB, and no text
  // Changes of the journal after this one are newer than the input.
  std::optional<uint64_t> after{};
  // Called regularly, and before the map is replaced, with the current step and its progress.
  // Returning false aborts.
  std::function<bool(const char* doing, uint64_t done)> progress;
};

struct MapBuilt {
  uint64_t users = 0;
  uint64_t dropped = 0;  // lines replaced by a later line of the same user
  uint64_t bytes = 0;
  OddNames odd_names;
  uint32_t alike = 0;      // the largest number of users with equal hashes
  std::string alike_user;  // one of them
};

// Changes that the journal of `out` got before the input was read, or up to `after`, do not apply
// to the new map, later ones do. Replaces a file at `out` only if it is empty or a CDB file, whole
// or broken, and not the input: otherwise the name is probably a mistake. Needs about 16 bytes of
// memory per user, besides the page cache. Errors in the input go to `problems` as "FILE:LINE: what
// is wrong", at most 20 and a line that counts the rest; the result is then an error, too.
Result<MapBuilt> BuildMap(const MapBuildOptions& options, std::vector<std::string>* problems);

}  // namespace rum
