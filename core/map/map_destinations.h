// The distinct servers that a map names.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/keyed_hash.h"
#include "map/map_file.h"

namespace rum {

// Counts the users of each destination list, so that a change of single users needs no look at the
// others. Bounded: further lists are not counted.
class MapDestinations {
 public:
  // [any] Those of the whole map, or of what was read of it when `stop` became true.
  static MapDestinations Of(const MapFile& map, const std::atomic<bool>* stop = nullptr);

  // `after` extends `before`.
  void Change(const MapFile& before, const MapFile& after);

  // The distinct addresses in the order of the map, with lists split into members; at most `most`.
  // Addresses are not validated.
  std::vector<std::string> Addresses(size_t most) const;

 private:
  static constexpr size_t kListsMost = 65536;
  struct List {
    std::string text;
    int64_t users = 0;
  };
  void Count(std::string_view value, int64_t users);

  std::vector<List> lists_;
  std::unordered_map<std::string, size_t, NameHash, std::equal_to<>> places_;  // in lists_
};

}  // namespace rum
