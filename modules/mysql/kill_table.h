// Maps connection ids of rum to servers and their thread ids, so that a KILL reaches its target.
// One per process; used when a login succeeds, when it ends, and by a KILL.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

namespace rum::mysql {

class KillTable {
 public:
  // [any] That of this process.
  static KillTable& OfProcess();

  // [any] Returns an id that rum has not used recently: 31 bits, for drivers that store it as a
  // signed integer, and above the servers' own ids, so that a misdirected KILL hits nobody. The
  // first id is random, so that two rums with the same servers rarely share ids.
  uint32_t NextId();

  // [any] `server` is the connected address. An id that is already in use, which takes 2^30
  // connections, is removed for both sessions: better no target than the wrong one.
  void Add(uint32_t id, std::string_view user, std::string_view server, uint32_t thread_id);
  // True: a KILL has been sent to it, and may come later than what is done next.
  bool Remove(uint32_t id);

  // [any] The server's id of a session of the same user on the same server; nullopt: none.
  std::optional<uint32_t> Find(uint32_t id, std::string_view user, std::string_view server);

 private:
  KillTable();

  struct Entry {
    std::string user;
    std::string server;
    uint32_t thread_id;
    bool killed = false;  // a KILL has asked for it
  };
  // Several parts, so that workers rarely wait for each other.
  struct alignas(64) Shard {
    std::mutex mutex;
    std::unordered_map<uint32_t, Entry> entries;
  };
  static constexpr size_t kShards = 64;
  Shard& ShardOf(uint32_t id) { return shards_[id % kShards]; }

  std::array<Shard, kShards> shards_;
  std::atomic<uint32_t> next_;
};

}  // namespace rum::mysql
