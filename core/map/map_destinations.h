// The distinct servers that a map names.
#pragma once

#include <atomic>
#include <string>
#include <vector>

#include "map/map_file.h"

namespace rum {

// [any] The distinct addresses of all records in file order, with lists split into members; at most
// `most`. Addresses are not validated. Reads the whole map; returns what was found so far when
// `stop` becomes true.
std::vector<std::string> DestinationsOf(const MapFile& map, size_t most,
                                        const std::atomic<bool>* stop = nullptr);

}  // namespace rum
