// Which servers a map names: each once, however many users live there.
#pragma once

#include <atomic>
#include <string>
#include <vector>

#include "map/map_file.h"

namespace rum {

// [any] The distinct addresses of all records in the order of the file, members of lists alone, at
// most `most`. They are as they are written, and perhaps wrong. Takes as long as reading the map;
// what was found so far when `stop` becomes true.
std::vector<std::string> DestinationsOf(const MapFile& map, size_t most,
                                        const std::atomic<bool>* stop = nullptr);

}  // namespace rum
