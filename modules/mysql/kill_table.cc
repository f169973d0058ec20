#include "mysql/kill_table.h"

#include <sys/random.h>

namespace rum::mysql {
namespace {

constexpr uint32_t kFirstId = 0x40000001;
constexpr uint32_t kIds = 0x3ffffffe;

}  // namespace

KillTable& KillTable::OfProcess() {
  static KillTable* table = new KillTable;  // sessions may end after static objects are destroyed
  return *table;
}

KillTable::KillTable() {
  uint32_t start = 0;  // without random bytes, two rums may use the same ids
  if (getrandom(&start, sizeof start, GRND_NONBLOCK) != sizeof start) start = 0;
  next_ = start;
}

uint32_t KillTable::NextId() {
  return kFirstId + next_.fetch_add(1, std::memory_order_relaxed) % kIds;
}

void KillTable::Add(uint32_t id, std::string_view user, std::string_view server,
                    uint32_t thread_id) {
  Shard& shard = ShardOf(id);
  std::lock_guard lock(shard.mutex);
  auto [entry, added] = shard.entries.try_emplace(
      id, Entry{std::string(user), std::string(server), thread_id, false});
  if (!added) shard.entries.erase(entry);
}

bool KillTable::Remove(uint32_t id) {
  Shard& shard = ShardOf(id);
  std::lock_guard lock(shard.mutex);
  auto found = shard.entries.find(id);
  if (found == shard.entries.end()) return false;
  const bool killed = found->second.killed;
  shard.entries.erase(found);
  return killed;
}

std::optional<uint32_t> KillTable::Find(uint32_t id, std::string_view user,
                                        std::string_view server) {
  Shard& shard = ShardOf(id);
  std::lock_guard lock(shard.mutex);
  auto found = shard.entries.find(id);
  if (found == shard.entries.end()) return std::nullopt;
  Entry& entry = found->second;
  if (entry.user != user || entry.server != server) return std::nullopt;
  entry.killed = true;
  return entry.thread_id;
}

}  // namespace rum::mysql
