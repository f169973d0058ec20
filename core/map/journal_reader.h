// Reads the journal beside a CDB, at first whole, then what was appended since.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/file_stamp.h"
#include "base/result.h"
#include "map/map_journal.h"
#include "map/map_overlay.h"

namespace rum {

// "users.cdb" has its journal in "users.cdb.log", beside the name that is given, even if that is a
// symbolic link.
inline std::string JournalOf(const std::string& map) { return map + ".log"; }

// How far a journal was read.
struct JournalPosition {
  FileStamp stamp;  // all zero: there is no journal
  uint64_t id = 0;
  uint64_t offset = 0;  // 0: the header was not read
  uint64_t last = 0;    // sequence of the last change
  bool based = false;   // the journal knows the CDB: its changes apply
  std::shared_ptr<RecordMemory> memory;
};

struct JournalNews {
  JournalPosition position;
  bool whole = false;              // `changes` are all that apply, not only those since
  std::vector<MapChange> changes;  // in order; none if the journal does not know the CDB
  uint64_t ignored = 0;  // changes that do not apply as it does not, and that no map contains
  std::string warning;   // where the journal is damaged; names the file
};

// [helper] Blocks. `since`: nullptr to read all. `identity` returns the CDB's. A missing journal is
// no error. Faults as in MapFile::Load().
Result<JournalNews> ReadJournal(const std::string& path, const JournalPosition* since,
                                const std::function<const MapIdentity&()>& identity);

}  // namespace rum
