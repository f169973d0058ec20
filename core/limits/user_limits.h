// How many sessions each user has, and how fast they came: exact over all workers. Touched when a
// user logs in and when the session ends, never while bytes flow.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/rate.h"

namespace rum {

struct UserLimit {
  uint32_t max = 0;  // sessions at a time; 0: any number
  Rate rate;         // of logins
};

// [any] All of it. Memory: one entry for each user who has a session, and for at most
// kIdleMost * kShards others whose bucket is not full again.
class UserLimits {
  struct Shard;
  struct Entry;
  using Node = std::pair<const std::string, Entry>;
  struct Entry {
    uint32_t sessions = 0;
    Bucket bucket;
    // Without a session: its place in the queue of those that wait to be forgotten.
    std::list<Node*>::iterator idle;
  };

 public:
  static constexpr size_t kShards = 64;
  static constexpr size_t kIdleMost = 1024;

  enum class Answer : uint8_t { kTaken, kTooMany, kTooFast };

  // One session of a user, counted until this goes. The table must outlive it.
  class Place {
   public:
    Place() = default;
    Place(Place&& other) noexcept;
    Place& operator=(Place&& other) noexcept;
    ~Place() { Release(); }
    void Release();
    explicit operator bool() const { return node_ != nullptr; }

   private:
    friend class UserLimits;
    Place(UserLimits& limits, Node& node) : limits_(&limits), node_(&node) {}
    UserLimits* limits_ = nullptr;
    Node* node_ = nullptr;
  };

  using Clock = uint64_t (*)();  // microseconds; never goes back
  explicit UserLimits(Clock clock = NowMicros);
  ~UserLimits();
  UserLimits(const UserLimits&) = delete;

  // Takes a place for one more session; `place` gives back what it held before. A refusal costs
  // nothing of the rate.
  Answer Take(std::string_view user, const UserLimit& limit, Place* place);

  size_t users() const { return users_.load(std::memory_order_relaxed); }  // who have a session
  // Those who have the most sessions, the most first. Locks one shard after the other.
  std::vector<std::pair<std::string, uint32_t>> Top(size_t most) const;
  size_t entries() const;  // those whose bucket is not full as well

 private:
  Shard& ShardOf(std::string_view user) const;
  void GiveBack(Node& node);

  const Clock clock_;
  const uint64_t seed_;
  const std::unique_ptr<Shard[]> shards_;
  std::atomic<size_t> users_ = 0;
};

}  // namespace rum
