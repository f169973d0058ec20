#include "lookup/record_cache.h"

#include <iterator>

namespace rum {
namespace {

// Of one entry, beside its texts: nodes of the list and the table, and the shared value.
constexpr uint64_t kEntryBytes = 240;
// Of the bytes, for users that do not exist.
constexpr uint64_t kUnknownPart = 8;

}  // namespace

RecordCache::RecordCache(Limits limits, size_t sources) : limits_(limits), epochs_(sources) {}

std::string RecordCache::KeyOf(size_t source, std::string_view user) {
  std::string key(1, static_cast<char>(source));
  return key.append(user);
}

// `now` may be from just before the answer, which is another thread's.
uint64_t RecordCache::AgeOf(const Entry& entry, uint64_t now) {
  return now > entry.at ? now - entry.at : 0;
}

// Bits that the shard's table does not begin with.
RecordCache::Shard& RecordCache::ShardOf(std::string_view key) {
  return shards_[(KeyedHash(key) >> 48) % kShards];
}

uint64_t RecordCache::BytesOf(const Entry& entry) {
  return kEntryBytes + entry.key.size() + (entry.value ? entry.value->size() : 0);
}

bool RecordCache::Find(size_t source, std::string_view user, uint64_t now, RemoteAnswer* answer) {
  const std::string key = KeyOf(source, user);
  Shard& shard = ShardOf(key);
  std::lock_guard lock(shard.mutex);
  return FindLocked(shard, source, key, now, answer);
}

bool RecordCache::FindLocked(Shard& shard, size_t source, const std::string& key, uint64_t now,
                             RemoteAnswer* answer) {
  auto found = shard.entries.find(key);
  if (found == shard.entries.end()) return false;
  const Entry& entry = *found->second;
  const uint64_t ttl = entry.value ? limits_.ttl : limits_.negative_ttl;
  if (entry.epoch != epochs_[source] || AgeOf(entry, now) >= ttl) return false;
  Entries& list = shard.HalfOf(entry).list;
  list.splice(list.begin(), list, found->second);
  answer->kind = entry.value ? RemoteAnswer::Kind::kFound : RemoteAnswer::Kind::kNotFound;
  answer->value = entry.value;
  hits_.fetch_add(1, std::memory_order_relaxed);
  return true;
}

RecordCache::Ask RecordCache::Begin(size_t source, std::string_view user, uint64_t now,
                                    Waiter waiter, RemoteAnswer* answer) {
  const std::string key = KeyOf(source, user);
  Shard& shard = ShardOf(key);
  std::lock_guard lock(shard.mutex);
  if (FindLocked(shard, source, key, now, answer)) return Ask::kAnswered;
  auto found = shard.questions.find(key);
  const bool begun = found == shard.questions.end();
  if (begun) {
    if (questions_.fetch_add(1, std::memory_order_relaxed) >= limits_.questions) {
      questions_.fetch_sub(1, std::memory_order_relaxed);
      return Ask::kFull;
    }
    found = shard.questions.emplace(key, Question()).first;
    found->second.epoch = epochs_[source];
  }
  found->second.waiters.push_back(std::move(waiter));
  return begun ? Ask::kBegun : Ask::kJoined;
}

// That a user did not exist is no answer any more when it has expired: the source may have learned
// of him.
bool RecordCache::FindStale(size_t source, std::string_view user, uint64_t now,
                            RemoteAnswer* answer) {
  const std::string key = KeyOf(source, user);
  Shard& shard = ShardOf(key);
  std::lock_guard lock(shard.mutex);
  auto found = shard.entries.find(key);
  if (found == shard.entries.end() || !found->second->value) return false;
  if (AgeOf(*found->second, now) >= limits_.stale) return false;
  answer->kind = RemoteAnswer::Kind::kFound;
  answer->value = found->second->value;
  stale_.fetch_add(1, std::memory_order_relaxed);
  return true;
}

RecordCache::Ended RecordCache::Answer(size_t source, std::string_view user, uint64_t now,
                                       RemoteAnswer answer) {
  using Kind = RemoteAnswer::Kind;
  Ended ended;
  {
    const std::string key = KeyOf(source, user);
    Shard& shard = ShardOf(key);
    std::lock_guard lock(shard.mutex);
    auto question = shard.questions.extract(key);
    if (!question) return ended;
    questions_.fetch_sub(1, std::memory_order_relaxed);
    ended.waiters = std::move(question.mapped().waiters);
    const bool changed = question.mapped().outdated;
    ended.outdated = answer.kind != Kind::kUnavailable &&
                     (changed || question.mapped().epoch != epochs_[source]);
    if (answer.kind != Kind::kUnavailable && !changed) {
      Store(shard, key, now, question.mapped().epoch, answer.value);
    }
  }
  if (answer.kind == Kind::kUnavailable) FindStale(source, user, now, &answer);
  ended.answer = std::move(answer);
  return ended;
}

void RecordCache::Store(Shard& shard, const std::string& key, uint64_t now, uint64_t epoch,
                        std::shared_ptr<const std::string> value) {
  auto known = shard.entries.find(key);
  if (known != shard.entries.end()) Remove(shard, known->second);
  Half& half = value ? shard.known : shard.unknown;
  const uint64_t most = limits_.bytes / kShards / (value ? 1 : kUnknownPart);
  known = shard.entries.emplace(key, half.list.end()).first;
  half.list.push_front({known->first, std::move(value), now, epoch});
  known->second = half.list.begin();
  const uint64_t bytes = BytesOf(half.list.front());
  half.bytes += bytes;
  bytes_.fetch_add(bytes, std::memory_order_relaxed);
  entries_.fetch_add(1, std::memory_order_relaxed);
  while (half.bytes > most) {
    Remove(shard, std::prev(half.list.end()));
    evicted_.fetch_add(1, std::memory_order_relaxed);
  }
}

void RecordCache::Remove(Shard& shard, Entries::iterator entry) {
  const uint64_t bytes = BytesOf(*entry);
  Half& half = shard.HalfOf(*entry);
  half.bytes -= bytes;
  bytes_.fetch_sub(bytes, std::memory_order_relaxed);
  entries_.fetch_sub(1, std::memory_order_relaxed);
  const auto place = shard.entries.find(entry->key);
  half.list.erase(entry);
  shard.entries.erase(place);
}

void RecordCache::Forget(size_t source, std::string_view user) {
  const std::string key = KeyOf(source, user);
  Shard& shard = ShardOf(key);
  std::lock_guard lock(shard.mutex);
  if (auto found = shard.entries.find(key); found != shard.entries.end()) {
    Remove(shard, found->second);
  }
  if (auto asked = shard.questions.find(key); asked != shard.questions.end()) {
    asked->second.outdated = true;
  }
}

// Also outdates the questions under way, whose epoch is the one before.
void RecordCache::ForgetAll(size_t source) {
  Suspect(source);
  for (Shard& shard : shards_) {
    std::lock_guard lock(shard.mutex);
    for (Half* half : {&shard.known, &shard.unknown}) {
      for (auto entry = half->list.begin(); entry != half->list.end();) {
        const auto next = std::next(entry);
        if (static_cast<unsigned char>(entry->key[0]) == source) Remove(shard, entry);
        entry = next;
      }
    }
  }
}

void RecordCache::Suspect(size_t source) { epochs_[source].fetch_add(1); }

}  // namespace rum
