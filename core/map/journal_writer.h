// Appends changes to a map's journal, and tells it of a new CDB. One process at a time: the CDB
// file is locked meanwhile.
#pragma once

#include <sys/stat.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "map/atomic_file.h"
#include "map/map_journal.h"

namespace rum {

// A change that is to be made.
struct MapEdit {
  std::string user;
  std::optional<std::string> value;  // nullopt: remove the user
};

class JournalWriter {
 public:
  // Locks the map, waits for another writer at most ten seconds, and reads the journal, which need
  // not exist. An incomplete last record is cut off. A missing map is an error, unless `may_lack`.
  static Result<JournalWriter> Open(const std::string& map, bool may_lack = false);

  // The user's record as it is; an empty value: there is no such user.
  Result<std::optional<std::string>> Find(std::string_view user) const;
  // Appends the changes and syncs: all of them, or none and an error. Find() does not see them.
  Status Append(const std::vector<MapEdit>& edits);

  bool exists() const { return static_cast<bool>(file_); }
  bool damaged() const { return damaged_; }
  uint64_t last() const { return last_; }  // sequence of the last change
  const struct stat& map_status() const { return map_status_; }
  // Says that the changes up to base.folded are part of that CDB. Only if exists().
  Status AppendBase(const JournalBase& base);
  // Replaces the journal by one of this base and the changes that it does not contain.
  Status Rewrite(const JournalBase& base);
  // Rewrites the journal if most of it does not apply any more.
  Status Tidy();

 private:
  JournalWriter() = default;
  Status Lock(bool may_lack);
  Status Read();
  Result<JournalBase> Base() const;  // of the CDB as it is
  Result<MapIdentity> Identify() const;
  JournalBase Restamped(JournalBase base) const;
  Status Write(std::string_view bytes);
  Error Failed(const char* what) const;

  std::string map_, path_;
  Fd lock_;  // the CDB; open, it is locked
  struct stat map_status_ = {};
  Fd file_;  // the journal; closed: there is none
  uint64_t id_ = 0;
  std::string bytes_;                   // the good ones, when the journal was read
  uint64_t end_ = 0;                    // of those that are there
  std::vector<JournalChange> changes_;  // views into bytes_
  std::vector<JournalBase> bases_;
  uint64_t last_ = 0;
  bool damaged_ = false;
};

// Replaces the CDB so that journal and CDB agree at each moment, also if the process is killed.
class MapReplacement {
 public:
  // Before anything of the new CDB's source is read: changes from now on are newer than it.
  static Result<MapReplacement> Begin(const std::string& map);
  // Also changes from before are newer, if they come after this one.
  void KeepAfter(uint64_t sequence) { folded_ = std::min(folded_, sequence); }
  // The same, for a CDB made of the one at `stamp` and its changes up to `folded`.
  static MapReplacement OfItself(const std::string& map, uint64_t folded, const FileStamp& stamp);
  // `bytes`: of the finished file.
  Status Publish(AtomicFile& file, std::string_view bytes, mode_t mode_if_new);

 private:
  std::string map_;
  uint64_t folded_ = 0;
  std::optional<FileStamp> of_;
};

// The stamp as a base has it.
FileStamp BaseStamp(const struct stat& st);

}  // namespace rum
