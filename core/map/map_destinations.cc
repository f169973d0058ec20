#include "map/map_destinations.h"

#include <unordered_set>

#include "map/map_record.h"

namespace rum {

void MapDestinations::Count(std::string_view value, int64_t users) {
  auto record = ParseMapRecord(value);
  if (!record) return;
  auto place = places_.find(record->destination);
  if (place == places_.end()) {
    if (users < 0 || lists_.size() >= kListsMost) return;
    place = places_.emplace(record->destination, lists_.size()).first;
    lists_.push_back({std::string(record->destination)});
  }
  lists_[place->second].users += users;
}

MapDestinations MapDestinations::Of(const MapFile& map, const std::atomic<bool>* stop) {
  MapDestinations found;
  map.Visit([&](std::string_view, std::string_view value) {
    found.Count(value, 1);
    return !stop || !*stop;
  });
  return found;
}

void MapDestinations::Change(const MapFile& before, const MapFile& after) {
  std::unordered_set<std::string_view> users;
  for (const MapChange& change : after.added()) {
    if (!users.insert(change.user).second) continue;
    std::string_view value;
    if (before.Find(change.user, &value) == MapFile::Answer::kFound) Count(value, -1);
    if (after.Find(change.user, &value) == MapFile::Answer::kFound) Count(value, 1);
  }
}

std::vector<std::string> MapDestinations::Addresses(size_t most) const {
  std::unordered_set<std::string_view> members;
  std::vector<std::string> found;
  for (const List& list : lists_) {
    if (list.users <= 0) continue;
    for (std::string_view rest = list.text; !rest.empty() && found.size() < most;) {
      const size_t comma = rest.find(',');
      const std::string_view member = rest.substr(0, comma);
      if (members.insert(member).second) found.emplace_back(member);
      rest = comma == rest.npos ? std::string_view() : rest.substr(comma + 1);
    }
  }
  return found;
}

}  // namespace rum
