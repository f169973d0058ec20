// The commands of rum-map. Each prints its result, or a complaint, and returns the exit code.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "map/map_build.h"
#include "map/map_file.h"

namespace rum {

// Exit codes; documented in the manual.
inline constexpr int kDone = 0;
inline constexpr int kNo = 1;  // not found, or the input or map has problems
inline constexpr int kUsage = 2;

int Complain(const Error& error);
void WarnOfJournal(const MapFile& map);

// How `dump` writes: as lines of text, or as commands of Redis.
struct DumpForm {
  bool redis = false;
  std::string prefix;  // of the users' keys
};

// A user and what becomes of it.
struct Change {
  std::string map, user, destination;
  std::vector<std::string> rules;
};

// The map (map_commands.cc).
int Build(MapBuildOptions options, bool quiet);
int Dump(const std::string& path, const std::string& out, const DumpForm& form);
int Check(const std::string& path, bool quiet);
int Get(const std::string& path, const std::string& user);

// Its journal (journal_commands.cc).
int Set(const Change& change, bool quiet);
int Unset(const Change& change, bool quiet);
int Changes(const std::string& path);

}  // namespace rum
