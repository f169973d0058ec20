// Limits sessions and session rates per key (a user, address or server), exactly over all workers.
// Used when a session begins and ends, never while data flows.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <list>
#include <memory>
#include <mutex>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/rate.h"
#include "limits/charged_bucket.h"

namespace rum {

struct KeyLimit {
  uint32_t max = 0;     // concurrent sessions; 0: unlimited
  Rate rate;            // new sessions
  uint32_t others = 0;  // sessions of the key in other processes, which count for `max`
};

enum class LimiterAnswer : uint8_t { kTaken, kTooMany, kTooFast };

// [any] Memory: one entry per key with a session, plus at most kIdleMost * kShards idle keys whose
// bucket is not full yet. `View` is the lookup type. `Hash` is keyed, so that untrusted keys cannot
// be chosen to share a bucket or shard.
template <class Key, class View, class Hash>
class KeyedLimiter {
  struct Shard;
  struct Entry;
  using Node = std::pair<const Key, Entry>;
  struct Entry {
    KeyedLimiter* limiter = nullptr;
    uint32_t sessions = 0;
    ChargedBucket bucket;
    // Valid if the key has no session: its position in the queue of idle keys.
    typename std::list<Node*>::iterator idle;
  };

 public:
  static constexpr size_t kShards = 64;
  static constexpr size_t kIdleMost = 1024;

  using Answer = LimiterAnswer;

  // One session of a key; released on destruction. The table must outlive it.
  class Lease {
   public:
    Lease() = default;
    Lease(Lease&& other) noexcept : node_(std::exchange(other.node_, nullptr)) {}
    Lease& operator=(Lease&& other) noexcept {
      if (this == &other) return *this;
      Release();
      node_ = std::exchange(other.node_, nullptr);
      return *this;
    }
    ~Lease() { Release(); }
    void Release() {
      if (Node* node = std::exchange(node_, nullptr)) node->second.limiter->GiveBack(*node);
    }
    explicit operator bool() const { return node_ != nullptr; }
    const Key& key() const { return node_->first; }  // only if taken

   private:
    friend class KeyedLimiter;
    explicit Lease(Node& node) : node_(&node) {}
    Node* node_ = nullptr;  // kept small: each session holds several leases
  };

  using Clock = uint64_t (*)();  // microseconds; monotonic
  explicit KeyedLimiter(Clock clock = NowMicros) : clock_(clock), shards_(new Shard[kShards]) {}
  KeyedLimiter(const KeyedLimiter&) = delete;

  // [main] From here on, rates hold over several processes: see Charges() and Charge().
  void CountCharges() { counts_.Begin(); }

  // Takes a lease for one more session, after releasing what `lease` held. A refusal is not charged
  // to the rate.
  Answer Take(const View& key, const KeyLimit& limit, Lease* lease) {
    lease->Release();  // before the lock: it may be in the same shard
    Shard& shard = ShardOf(key);
    std::lock_guard lock(shard.mutex);
    const uint64_t now = clock_();
    shard.Tidy(now);
    auto found = shard.keys.find(key);
    const uint64_t sessions =
        uint64_t{limit.others} + (found == shard.keys.end() ? 0 : found->second.sessions);
    if (limit.max && sessions >= limit.max) return Answer::kTooMany;
    if (found != shard.keys.end()) {
      found->second.bucket.Bound(limit.rate, now);  // a reload may have changed the rate
      if (!found->second.bucket.Has(limit.rate, now)) return Answer::kTooFast;
    } else {
      found = Add(shard, key);
    }
    Entry& entry = found->second;
    if (entry.idle != shard.idle.end()) {
      shard.idle.erase(entry.idle);
      entry.idle = shard.idle.end();
    }
    entry.bucket.Take(limit.rate, now, counts_);
    if (++entry.sessions == 1) active_.fetch_add(1, std::memory_order_relaxed);
    *lease = Lease(*found);
    return Answer::kTaken;
  }

  // How many more calls of Take() would succeed now, and the limit that refuses the next one.
  struct Room {
    uint32_t places;
    Answer beyond;
  };
  Room RoomFor(const View& key, const KeyLimit& limit) const {
    Shard& shard = ShardOf(key);
    std::lock_guard lock(shard.mutex);
    auto found = shard.keys.find(key);
    const uint64_t sessions =
        uint64_t{limit.others} + (found == shard.keys.end() ? 0 : found->second.sessions);
    const uint64_t now = clock_();
    Bucket none;
    Bucket& bucket = found == shard.keys.end() ? none : found->second.bucket;
    bucket.Bound(limit.rate, now);
    const uint32_t by_rate = bucket.Left(limit.rate, now);
    if (!limit.max) return {by_rate, Answer::kTooFast};
    const auto by_max = static_cast<uint32_t>(limit.max - std::min<uint64_t>(limit.max, sessions));
    return by_max <= by_rate ? Room{by_max, Answer::kTooMany} : Room{by_rate, Answer::kTooFast};
  }

  // What this process has charged to rates, of at most so many keys. [one thread]
  ChargesOf<Key> Charges(size_t most) {
    return counts_.Publish(std::span(shards_.get(), kShards), most, clock_);
  }
  // Other processes have charged this, since then.
  void Charge(const View& key, uint64_t micros, uint64_t since) {
    Shard& shard = ShardOf(key);
    std::lock_guard lock(shard.mutex);
    auto found = shard.keys.find(key);
    if (found == shard.keys.end()) {
      found = Add(shard, key);
      found->second.idle = shard.idle.insert(shard.idle.end(), &*found);
    }
    found->second.bucket.Charge(micros, since);
    shard.Tidy(clock_());
  }

  // The number of sessions of one key.
  uint32_t Sessions(const View& key) const {
    Shard& shard = ShardOf(key);
    std::lock_guard lock(shard.mutex);
    auto found = shard.keys.find(key);
    return found == shard.keys.end() ? 0 : found->second.sessions;
  }
  // The number of keys with a session.
  size_t active() const { return active_.load(std::memory_order_relaxed); }
  // The keys with the most sessions, in descending order. Locks one shard at a time, and only to
  // copy the keys that may be in the result.
  std::vector<std::pair<Key, uint32_t>> Top(size_t most) const {
    std::vector<std::pair<Key, uint32_t>> top;
    if (most == 0) return top;
    auto more = [](const auto& a, const auto& b) {
      return a.second != b.second ? a.second > b.second : a.first < b.first;
    };
    auto cut = [&](size_t number) {
      if (top.size() <= number) return;
      std::nth_element(top.begin(), top.begin() + static_cast<std::ptrdiff_t>(number), top.end(),
                       more);
      top.erase(top.begin() + static_cast<std::ptrdiff_t>(number), top.end());
    };
    uint32_t least = 1;  // the fewest sessions that are still in the result
    for (size_t i = 0; i < kShards; ++i) {
      {
        std::lock_guard lock(shards_[i].mutex);
        for (const auto& [key, entry] : shards_[i].keys) {
          if (entry.sessions >= least) top.emplace_back(key, entry.sessions);
        }
      }
      if (top.size() < most || (top.size() < 2 * most && i + 1 < kShards)) continue;
      cut(most);
      least = std::min_element(top.begin(), top.end(), [](const auto& a, const auto& b) {
                return a.second < b.second;
              })->second;
    }
    std::sort(top.begin(), top.end(), more);
    return top;
  }
  // Includes idle keys whose bucket is not full yet.
  size_t entries() const {
    size_t sum = 0;
    for (size_t i = 0; i < kShards; ++i) {
      std::lock_guard lock(shards_[i].mutex);
      sum += shards_[i].keys.size();
    }
    return sum;
  }

 private:
  struct Shard {
    // Removes idle keys whose bucket is full, and the oldest if there are too many. With different
    // rates, buckets do not fill in queue order, but the bound holds.
    void Tidy(uint64_t now) {
      while (!idle.empty() &&
             (idle.size() > kIdleMost || idle.front()->second.bucket.MayForget(now))) {
        auto found = keys.find(idle.front()->first);
        idle.pop_front();
        keys.erase(found);
      }
    }

    mutable std::mutex mutex;
    std::unordered_map<Key, Entry, Hash, std::equal_to<>> keys;
    std::list<Node*> idle;  // longest idle first
  };

  // Uses the upper bits of the hash: the lower ones select the bucket within the shard.
  Shard& ShardOf(const View& key) const {
    return shards_[(Hash()(key) >> std::numeric_limits<size_t>::digits / 2) % kShards];
  }

  typename std::unordered_map<Key, Entry, Hash, std::equal_to<>>::iterator Add(Shard& shard,
                                                                               const View& key) {
    auto added = shard.keys.emplace(Key(key), Entry{}).first;
    added->second.limiter = this;
    added->second.idle = shard.idle.end();
    return added;
  }

  void GiveBack(Node& node) {
    Shard& shard = ShardOf(node.first);
    std::lock_guard lock(shard.mutex);
    Entry& entry = node.second;
    if (--entry.sessions > 0) return;
    active_.fetch_sub(1, std::memory_order_relaxed);
    const uint64_t now = clock_();
    if (entry.bucket.MayForget(now)) {
      shard.keys.erase(shard.keys.find(node.first));
    } else {
      entry.idle = shard.idle.insert(shard.idle.end(), &node);
    }
    shard.Tidy(now);
  }

  const Clock clock_;
  const std::unique_ptr<Shard[]> shards_;
  std::atomic<size_t> active_ = 0;
  ChargeCounts counts_;
};

}  // namespace rum
