// The records that remote sources have answered, for all workers: bounded in bytes, with a time to
// live, and with the questions under way, of which each user has one at a time.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/keyed_hash.h"

namespace rum {

// What a source says about a user. kUnavailable: the source cannot tell, which is not kNotFound.
struct RemoteAnswer {
  enum class Kind : uint8_t { kFound, kNotFound, kUnavailable };
  Kind kind = Kind::kUnavailable;
  std::shared_ptr<const std::string> value;  // kFound: the record
  std::string why;                           // kUnavailable: for --explain; may be empty
};

class RecordCache {
 public:
  struct Limits {
    uint64_t ttl = 60000, negative_ttl = 5000;  // ms
    uint64_t stale = 3600000;                   // ms after the last answer
    uint64_t bytes = 64 << 20;
    size_t questions = 10000;  // under way
  };
  using Waiter = std::function<void(RemoteAnswer)>;
  enum class Ask : uint8_t {
    kAnswered,  // from the cache
    kJoined,    // somebody asks already: the waiter is called with the answer
    kBegun,     // the caller asks the source, and calls Answer()
    kFull,      // too many questions are under way
  };

  RecordCache(Limits limits, size_t sources);
  RecordCache(const RecordCache&) = delete;

  // [any] The answer that is known and has not expired; false: there is none.
  bool Find(size_t source, std::string_view user, uint64_t now, RemoteAnswer* answer);
  // [any] As Find(), or begins or joins a question.
  Ask Begin(size_t source, std::string_view user, uint64_t now, Waiter waiter,
            RemoteAnswer* answer);
  // [any] The last record, though it has expired, while the source is unavailable.
  bool FindStale(size_t source, std::string_view user, uint64_t now, RemoteAnswer* answer);
  // [any] Ends a question: stores the answer, and returns those who wait for it with what they get.
  // `outdated`: it was made invalid meanwhile, and is not stored.
  struct Ended {
    RemoteAnswer answer;
    std::vector<Waiter> waiters;
    bool outdated = false;
  };
  Ended Answer(size_t source, std::string_view user, uint64_t now, RemoteAnswer answer);

  // [any] The record has changed: it is forgotten, also as a stale one.
  void Forget(size_t source, std::string_view user);
  void ForgetAll(size_t source);
  // [any] Changes may have been missed: everything has expired, and is used only while the source
  // is unavailable.
  void Suspect(size_t source);

  // [any]
  uint64_t hits() const { return hits_; }
  uint64_t stale() const { return stale_; }
  uint64_t evicted() const { return evicted_; }
  uint64_t entries() const { return entries_; }
  uint64_t bytes() const { return bytes_; }
  size_t questions() const { return questions_; }

 private:
  static constexpr size_t kShards = 32;
  struct Entry {
    std::string_view key;                      // of its place in `entries`
    std::shared_ptr<const std::string> value;  // nullptr: there is no such user
    uint64_t at = 0;                           // when the source answered
    uint64_t epoch = 0;                        // of the source then
  };
  struct Question {
    bool outdated = false;  // a change was announced after it was asked
    uint64_t epoch = 0;
    std::vector<Waiter> waiters;
  };
  using Entries = std::list<Entry>;  // the one used last is first
  // Users that do not exist have a list of their own: names that clients make up drop no records.
  struct Half {
    Entries list;
    uint64_t bytes = 0;
  };
  struct Shard {
    std::mutex mutex;
    Half known, unknown;
    std::unordered_map<std::string, Entries::iterator, NameHash, std::equal_to<>> entries;
    std::unordered_map<std::string, Question, NameHash, std::equal_to<>> questions;
    Half& HalfOf(const Entry& entry) { return entry.value ? known : unknown; }
  };

  static std::string KeyOf(size_t source, std::string_view user);
  Shard& ShardOf(std::string_view key);
  bool FindLocked(Shard& shard, size_t source, const std::string& key, uint64_t now,
                  RemoteAnswer* answer);
  void Store(Shard& shard, const std::string& key, uint64_t now, uint64_t epoch,
             std::shared_ptr<const std::string> value);
  void Remove(Shard& shard, Entries::iterator entry);
  static uint64_t BytesOf(const Entry& entry);
  static uint64_t AgeOf(const Entry& entry, uint64_t now);  // ms

  const Limits limits_;
  std::vector<std::atomic<uint64_t>> epochs_;  // by source
  std::array<Shard, kShards> shards_;
  std::atomic<uint64_t> hits_ = 0, stale_ = 0, evicted_ = 0, entries_ = 0, bytes_ = 0;
  std::atomic<size_t> questions_ = 0;
};

}  // namespace rum
