#include "limits/user_limits.h"

#include <algorithm>
#include <functional>
#include <random>
#include <utility>

namespace rum {

struct UserLimits::Shard {
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
  };

  // Forgets whose bucket is full again, and the oldest when there are too many. Buckets of
  // different rates are not full in the order of the queue; the bound holds nevertheless.
  void Tidy(uint64_t now) {
    while (!idle.empty() && (idle.size() > kIdleMost || idle.front()->second.bucket.Full(now))) {
      auto found = users.find(idle.front()->first);
      idle.pop_front();
      users.erase(found);
    }
  }

  mutable std::mutex mutex;
  std::unordered_map<std::string, Entry, Hash, std::equal_to<>> users;
  std::list<Node*> idle;  // the longest first
};

UserLimits::UserLimits(Clock clock)
    : clock_(clock), seed_(std::random_device{}()), shards_(new Shard[kShards]) {}
UserLimits::~UserLimits() = default;

// Seeded, so that who chooses names does not choose their shard.
UserLimits::Shard& UserLimits::ShardOf(std::string_view user) const {
  uint64_t hash = (std::hash<std::string_view>()(user) ^ seed_) * 0x9e3779b97f4a7c15;
  return shards_[(hash >> 32) % kShards];
}

UserLimits::Answer UserLimits::Take(std::string_view user, const UserLimit& limit, Place* place) {
  place->Release();  // before the lock: it may be of the same shard
  Shard& shard = ShardOf(user);
  std::lock_guard lock(shard.mutex);
  const uint64_t now = clock_();
  shard.Tidy(now);
  auto found = shard.users.find(user);
  if (found != shard.users.end()) {
    const Entry& entry = found->second;
    if (limit.max && entry.sessions >= limit.max) return Answer::kTooMany;
    if (!entry.bucket.Has(limit.rate, now)) return Answer::kTooFast;
  } else {
    found = shard.users.emplace(std::string(user), Entry{}).first;
    found->second.idle = shard.idle.end();
  }
  Entry& entry = found->second;
  if (entry.idle != shard.idle.end()) {
    shard.idle.erase(entry.idle);
    entry.idle = shard.idle.end();
  }
  entry.bucket.Take(limit.rate, now);
  if (++entry.sessions == 1) users_.fetch_add(1, std::memory_order_relaxed);
  *place = Place(*this, *found);
  return Answer::kTaken;
}

void UserLimits::GiveBack(Node& node) {
  Shard& shard = ShardOf(node.first);
  std::lock_guard lock(shard.mutex);
  Entry& entry = node.second;
  if (--entry.sessions > 0) return;
  users_.fetch_sub(1, std::memory_order_relaxed);
  const uint64_t now = clock_();
  if (entry.bucket.Full(now)) {
    shard.users.erase(shard.users.find(node.first));
  } else {
    entry.idle = shard.idle.insert(shard.idle.end(), &node);
  }
  shard.Tidy(now);
}

size_t UserLimits::entries() const {
  size_t sum = 0;
  for (size_t i = 0; i < kShards; ++i) {
    std::lock_guard lock(shards_[i].mutex);
    sum += shards_[i].users.size();
  }
  return sum;
}

UserLimits::Place::Place(Place&& other) noexcept
    : limits_(other.limits_), node_(std::exchange(other.node_, nullptr)) {}

UserLimits::Place& UserLimits::Place::operator=(Place&& other) noexcept {
  if (this == &other) return *this;
  Release();
  limits_ = other.limits_;
  node_ = std::exchange(other.node_, nullptr);
  return *this;
}

void UserLimits::Place::Release() {
  if (node_) limits_->GiveBack(*std::exchange(node_, nullptr));
}

std::vector<std::pair<std::string, uint32_t>> UserLimits::Top(size_t most) const {
  std::vector<std::pair<std::string, uint32_t>> top;
  auto more = [](const auto& a, const auto& b) {
    return a.second != b.second ? a.second > b.second : a.first < b.first;
  };
  for (size_t i = 0; i < kShards; ++i) {
    std::lock_guard lock(shards_[i].mutex);
    for (const auto& [user, entry] : shards_[i].users) {
      if (entry.sessions == 0) continue;
      if (top.size() == most && entry.sessions < top.back().second) continue;
      top.emplace_back(user, entry.sessions);
      std::inplace_merge(top.begin(), top.end() - 1, top.end(), more);
      if (top.size() > most) top.pop_back();
    }
  }
  return top;
}

}  // namespace rum
