#include "map/map_destinations.h"

#include <string_view>
#include <unordered_set>

#include "map/map_record.h"

namespace rum {

std::vector<std::string> DestinationsOf(const MapFile& map, size_t most,
                                        const std::atomic<bool>* stop) {
  // Views into the map. Whole lists are remembered, since most records repeat one.
  std::unordered_set<std::string_view> lists, members;
  std::vector<std::string> found;
  map.Visit([&](std::string_view, std::string_view value) {
    if (stop && *stop) return false;
    auto record = ParseMapRecord(value);
    if (!record || lists.contains(record->destination)) return true;
    if (lists.size() < most) lists.insert(record->destination);
    for (std::string_view rest = record->destination; !rest.empty() && found.size() < most;) {
      size_t comma = rest.find(',');
      std::string_view member = rest.substr(0, comma);
      if (members.insert(member).second) found.emplace_back(member);
      rest = comma == rest.npos ? std::string_view() : rest.substr(comma + 1);
    }
    return found.size() < most;
  });
  return found;
}

}  // namespace rum
