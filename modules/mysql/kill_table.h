// Which thread of which server stands behind a connection id that rum has given, so that a KILL
// reaches it. One for the process; touched when a login succeeds, at its end, and by a KILL.
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
  // [any] Of this process.
  static KillTable& OfProcess();

  // [any] An id that rum has not given lately: 31 bits, for drivers that keep them in a signed
  // integer, and above those that servers give, so that a KILL that goes astray hits nobody. They
  // begin at random, so that two rums in front of the same servers rarely share them.
  uint32_t NextId();

  // [any] `server` is the address that was connected. An id that is there already, which takes 2^30
  // connections, is forgotten for both: rather none than the wrong one.
  void Add(uint32_t id, std::string_view user, std::string_view server, uint32_t thread_id);
  // True: a KILL has been sent to it, and may come later than what is done next.
  bool Remove(uint32_t id);

  // [any] The server's id of the same user's session on the same server; nothing: there is none.
  std::optional<uint32_t> Find(uint32_t id, std::string_view user, std::string_view server);

 private:
  KillTable();

  struct Entry {
    std::string user;
    std::string server;
    uint32_t thread_id;
    bool killed = false;  // a KILL has asked for it
  };
  // So that workers do not wait for each other.
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
