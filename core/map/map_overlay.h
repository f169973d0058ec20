// The changes of a journal by user, laid over a CDB. Immutable; a batch of changes makes a new one,
// which shares all but the parts that it touches.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace rum {

// Memory for records, kept out of core dumps as it holds secrets. Bytes that were handed out never
// move; only one thread may call Append().
class RecordMemory {
 public:
  // nullptr: no memory is left.
  static std::shared_ptr<RecordMemory> Make(size_t bytes);
  ~RecordMemory();
  RecordMemory(const RecordMemory&) = delete;
  RecordMemory& operator=(const RecordMemory&) = delete;

  size_t room() const { return size_ - used_; }
  char* end() { return memory_ + used_; }
  void Use(size_t bytes) { used_ += bytes; }

 private:
  RecordMemory() = default;
  char* memory_ = nullptr;
  size_t size_ = 0, used_ = 0;
};

struct MapChange {
  std::shared_ptr<const RecordMemory> memory;  // owns the bytes
  uint64_t sequence = 0;
  std::string_view user;
  std::optional<std::string_view> value;  // nullopt: the user is removed
};

class MapOverlay {
 public:
  // [any] A copy with these changes, in their order.
  std::shared_ptr<const MapOverlay> With(std::span<const MapChange> changes) const;

  // [any] The last change of the user; nullptr: none. Allocates nothing.
  const MapChange* Find(std::string_view user) const;
  void Visit(const std::function<bool(const MapChange&)>& visit) const;
  size_t size() const { return size_; }  // users

 private:
  static constexpr size_t kShards = 1024;
  using Shard = std::vector<MapChange>;  // ordered by user

  static size_t ShardOf(std::string_view user);
  static Shard::const_iterator Place(const Shard& shard, std::string_view user);

  std::array<std::shared_ptr<const Shard>, kShards> shards_;
  size_t size_ = 0;
};

}  // namespace rum
