// A user map in memory: a whole CDB file, validated, and the changes of the journal beside it;
// looks up keys. Later changes of the files (truncated, rewritten, deleted) cannot affect a loaded
// map.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/file_stamp.h"
#include "base/result.h"
#include "map/journal_reader.h"
#include "map/map_overlay.h"

namespace rum {

class SealedCopy;

// Warn from this many names with equal hashes; four are normal among ten million.
inline constexpr uint32_t kManyAlike = 100;

// Warnings about the rules of a map.
struct MapRulesCount {
  uint64_t refused = 0;       // users who cannot log in because their rules cannot be parsed
  std::string first_refused;  // "user 'x' has rules ..."
  // Users with rules about countries; and those of them who cannot log in without --geo-db, because
  // only those of version 6.7 are ignored then.
  uint64_t with_countries = 0, needing_countries = 0;
};

class MapFile {
  struct Cdb;

 public:
  enum class Answer { kFound, kNotFound, kBroken };
  using Pointer = std::shared_ptr<const MapFile>;

  // [any] Blocks while reading: about 3 s for 10 million users. Faults: kMap if the file is missing
  // or bad, or its journal is unreadable, kSystem if resources are exhausted. Another thread can
  // abort it by setting `stop`, which is an error.
  static Result<Pointer> Load(const std::string& path, const std::atomic<bool>* stop = nullptr);
  // As Load(), from bytes in memory; `name` is used in errors. There is no journal.
  static Result<Pointer> FromBytes(const std::string& name, std::string_view bytes);
  // [helper] Reads the journal again, not the CDB. `map` itself if nothing has changed.
  static Result<Pointer> Refresh(const Pointer& map);

  ~MapFile();
  MapFile(const MapFile&) = delete;
  MapFile& operator=(const MapFile&) = delete;

  // [any] Takes no lock and allocates nothing. `value` is valid as long as this object. kBroken
  // cannot occur in a loaded map, but must never be treated as "no such user".
  Answer Find(std::string_view key, std::string_view* value) const;

  // [any] Calls `visit` for each record, until it returns false: in file order, then users that
  // only the journal has.
  void Visit(const std::function<bool(std::string_view key, std::string_view value)>& visit) const;

  // [any] What the journal says of each user that it changes; nullopt: the user is removed.
  using Change = std::function<bool(std::string_view key, std::optional<std::string_view> value)>;
  void VisitChanges(const Change& visit) const;

  uint64_t records() const { return records_; }
  uint64_t duplicates() const;               // records that look-ups never return
  bool Hides(std::string_view value) const;  // `value` of a duplicate, from Visit()
  // The largest number of users with equal hashes, and one of them: a look-up of one compares all.
  uint32_t alike() const;
  const std::string& alike_user() const;
  uint64_t bytes() const;  // of the CDB
  const MapRulesCount& rules() const { return rules_; }
  const FileStamp& stamp() const;  // the CDB's; all zero after FromBytes()

  // Of the journal.
  size_t changes() const { return overlay_ ? overlay_->size() : 0; }       // users
  const std::string& journal_warning() const { return journal_warning_; }  // empty: none
  bool journal_applies() const { return journal_.based; }
  const FileStamp& journal_stamp() const { return journal_.stamp; }  // all zero: none
  // Maps with the same CDB share this pointer.
  const void* cdb() const { return cdb_.get(); }
  // Whether this map differs from `before`, the one that Refresh() was given, by added() only.
  bool Extends(const MapFile& before) const { return before_ != 0 && before.number_ == before_; }
  std::span<const MapChange> added() const { return added_; }
  // The sequence of the last change; and whether the user has changed after one.
  uint64_t sequence() const { return journal_.last; }
  bool ChangedAfter(uint64_t sequence, std::string_view user) const;

 private:
  MapFile() = default;
  static Result<std::shared_ptr<MapFile>> Open(const std::string& name, const SealedCopy& copy,
                                               const std::atomic<bool>* stop);
  void Apply(JournalNews news, const MapFile& before);

  std::shared_ptr<const Cdb> cdb_;
  std::shared_ptr<const MapOverlay> overlay_;  // nullptr: no change applies
  uint64_t records_ = 0;
  MapRulesCount rules_;
  std::string path_;  // empty: there is no journal
  JournalPosition journal_;
  std::string journal_warning_;
  std::vector<MapChange> added_;  // to the map numbered before_
  uint64_t number_ = 0, before_ = 0;
};

}  // namespace rum
