// The bytes of a map's journal, which lists changes of single users since the CDB was built: a
// header, then records that each hold their length and checksum.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/file_stamp.h"

namespace rum {

inline constexpr size_t kJournalHeaderBytes = 16;
// Of a whole journal: writers keep to both, readers to the first.
inline constexpr uint64_t kJournalMostBytes = 64 << 20;
inline constexpr uint64_t kJournalMostChanges = 1'000'000;
// Of one change.
inline constexpr size_t kJournalMostUser = 512;
inline constexpr size_t kJournalMostValue = 1 << 20;

// A digest of all bytes of a CDB file.
using MapIdentity = std::array<uint8_t, 32>;

// Says that the changes up to `folded` are part of this CDB, or older than the text it was built
// from. Without such a record, no change of the journal applies to a CDB.
struct JournalBase {
  MapIdentity identity = {};
  uint64_t folded = 0;
  FileStamp stamp;  // the CDB's, without the time of change: writers know it again without reading
  bool operator==(const JournalBase&) const = default;
};

struct JournalChange {
  uint64_t sequence = 0;  // the first is 1, each next one more
  std::string_view user;
  std::optional<std::string_view> value;  // nullopt: the user is removed
  bool operator==(const JournalChange&) const = default;
};

// `id`: random; part of each checksum, so that no record of another journal is taken for one.
std::string FormatJournalHeader(uint64_t id);
std::optional<uint64_t> ParseJournalHeader(std::string_view bytes);  // nullopt: not a journal

// User and value are within the limits above.
void AppendJournalChange(std::string& out, uint64_t id, const JournalChange& change);
void AppendJournalBase(std::string& out, uint64_t id, const JournalBase& base);

// Views into the bytes.
struct JournalHooks {
  std::function<void(const JournalChange&)> change;
  std::function<void(const JournalBase&)> base;
};

struct JournalEnd {
  enum class Kind : uint8_t {
    kWhole,
    kTorn,     // the last record is incomplete: it is being written, or its writer was killed
    kDamaged,  // good records follow a bad one: the file was changed by something else
  };
  Kind kind = Kind::kWhole;
  size_t good = 0;    // bytes before the first bad record
  uint64_t last = 0;  // sequence of the last change, `last` as given if there is none
};

// Parses records up to the first bad one. `bytes` begins with a record; `last`: the sequence of the
// change before, 0: not known.
JournalEnd ParseJournal(std::string_view bytes, uint64_t id, uint64_t last,
                        const JournalHooks& hooks);

}  // namespace rum
