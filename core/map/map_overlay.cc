#include "map/map_overlay.h"

#include <sys/mman.h>

#include <algorithm>
#include <map>

#include "base/keyed_hash.h"

namespace rum {

std::shared_ptr<RecordMemory> RecordMemory::Make(size_t bytes) {
  std::shared_ptr<RecordMemory> made(new RecordMemory);
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return nullptr;
  madvise(memory, bytes, MADV_DONTDUMP);
  made->memory_ = static_cast<char*>(memory);
  made->size_ = bytes;
  return made;
}

RecordMemory::~RecordMemory() {
  if (memory_) munmap(memory_, size_);
}

// Users may choose their names: a keyed hash keeps the shards even.
size_t MapOverlay::ShardOf(std::string_view user) { return KeyedHash(user) % kShards; }

MapOverlay::Shard::const_iterator MapOverlay::Place(const Shard& shard, std::string_view user) {
  return std::lower_bound(
      shard.begin(), shard.end(), user,
      [](const MapChange& change, std::string_view u) { return change.user < u; });
}

std::shared_ptr<const MapOverlay> MapOverlay::With(std::span<const MapChange> changes) const {
  auto next = std::make_shared<MapOverlay>(*this);
  std::map<size_t, std::vector<const MapChange*>> by_shard;
  for (const MapChange& change : changes) by_shard[ShardOf(change.user)].push_back(&change);
  for (auto& [index, group] : by_shard) {
    std::stable_sort(group.begin(), group.end(),
                     [](const MapChange* a, const MapChange* b) { return a->user < b->user; });
    static const Shard none;
    const Shard& old = shards_[index] ? *shards_[index] : none;
    auto merged = std::make_shared<Shard>();
    merged->reserve(old.size() + group.size());
    auto rest = old.begin();
    for (size_t i = 0; i < group.size(); ++i) {
      const MapChange& change = *group[i];
      if (i + 1 < group.size() && group[i + 1]->user == change.user) continue;  // not the last
      for (; rest != old.end() && rest->user < change.user; ++rest) merged->push_back(*rest);
      if (rest != old.end() && rest->user == change.user) ++rest;
      merged->push_back(change);
    }
    merged->insert(merged->end(), rest, old.end());
    next->size_ += merged->size() - old.size();
    next->shards_[index] = std::move(merged);
  }
  return next;
}

const MapChange* MapOverlay::Find(std::string_view user) const {
  const auto& shard = shards_[ShardOf(user)];
  if (!shard) return nullptr;
  auto found = Place(*shard, user);
  return found != shard->end() && found->user == user ? &*found : nullptr;
}

void MapOverlay::Visit(const std::function<bool(const MapChange&)>& visit) const {
  for (const auto& shard : shards_) {
    if (!shard) continue;
    for (const MapChange& change : *shard) {
      if (!visit(change)) return;
    }
  }
}

}  // namespace rum
