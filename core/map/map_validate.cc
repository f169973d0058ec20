#include "map/map_validate.h"

#include <cdb.h>

#include <algorithm>
#include <array>
#include <bit>
#include <bitset>
#include <cstring>
#include <limits>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/keyed_hash.h"
#include "map/column.h"

namespace rum {
namespace {

constexpr uint32_t kTables = 256;
constexpr uint32_t kSlotBytes = 8;
constexpr uint32_t kRecordHeader = 8;
constexpr uint32_t kProgressBytes = 16 << 20;
// Tables of CDB writers are at most half full: 1.5 slots per look-up. If all look-ups together need
// many times that, the slowest tables are validated without look-ups: see CheckCrowded().
constexpr uint64_t kStepsPerRecord = 64;

Error Bad(std::string text) { return Error{Fault::kMap, std::move(text)}; }
std::string Number(uint64_t n) { return std::to_string(n); }

uint32_t WordAt(std::string_view bytes, uint64_t position) {
  uint32_t word;
  std::memcpy(&word, bytes.data() + position, sizeof word);
  if constexpr (std::endian::native == std::endian::big) word = __builtin_bswap32(word);
  return word;
}

class Validator {
 public:
  Validator(std::string_view bytes, const MapValidateHooks& hooks, uint64_t steps_most)
      : bytes_(bytes), hooks_(hooks), steps_most_(steps_most) {}

  Result<MapShape> Run() {
    if (Status s = CheckMapSize(bytes_.size()); !s) return s.error();
    size_ = static_cast<uint32_t>(bytes_.size());
    if (Status s = CheckTables(); !s) return s.error();
    if (Status s = CheckRecords(); !s) return s.error();
    if (Status s = CheckCrowded(); !s) return s.error();
    return shape_;
  }

 private:
  uint32_t Word(uint64_t position) const { return WordAt(bytes_, position); }

  // All CDB writers place the tables in order, contiguously, from the end of the records to the end
  // of the file. The position of an empty table is meaningless, except the first one's, which
  // readers use as the end of the records.
  Status CheckTables() {
    shape_.records_end = Word(0);
    if (shape_.records_end < kMapHeaderBytes || shape_.records_end > size_) {
      return Bad("its header says that the records end at byte " + Number(shape_.records_end) +
                 " of " + Number(size_) + ": it is not a CDB file, or is incomplete");
    }
    uint64_t next = shape_.records_end;
    for (uint32_t table = 0; table < kTables; ++table) {
      uint64_t position = Word(table * 8), slots = Word(table * 8 + 4);
      if (slots == 0) continue;
      if (position != next) {
        return Bad("table " + Number(table) + " begins at byte " + Number(position) +
                   " where byte " + Number(next) + " was expected");
      }
      if (slots * kSlotBytes > size_ - next) {
        return Bad("table " + Number(table) + " has " + Number(slots) +
                   " slots and reaches beyond the end of the file (" + Number(size_) + " bytes)");
      }
      for (uint64_t slot = 0; slot < slots; ++slot) {
        used_slots_ += Word(next + slot * kSlotBytes + 4) != 0;
      }
      next += slots * kSlotBytes;
    }
    if (next != size_) {
      return Bad(Number(size_ - next) + " bytes follow the last table");
    }
    return Ok();
  }

  // Each record is found in its own slot, so distinct records use distinct slots. As no more slots
  // are in use than records exist, no slot points elsewhere.
  Status CheckRecords() {
    const uint32_t end = shape_.records_end;
    uint32_t reported = 0;
    for (uint32_t position = kMapHeaderBytes; position < end;) {
      uint64_t room = end - position;
      if (room < kRecordHeader) return Broken(position);
      uint64_t key_size = Word(position), value_size = Word(position + 4);
      if (key_size + value_size > room - kRecordHeader) return Broken(position);
      std::string_view key = bytes_.substr(position + kRecordHeader, key_size);
      if (Status s = FindSlot(position, key); !s) return s;
      if (hooks_.record) {
        hooks_.record(key, bytes_.substr(position + kRecordHeader + key_size, value_size));
      }
      ++shape_.records;
      position += static_cast<uint32_t>(kRecordHeader + key_size + value_size);
      if (hooks_.progress && (position - reported >= kProgressBytes || position == end)) {
        reported = position;
        if (!hooks_.progress(position)) return Bad("validation was interrupted");
      }
    }
    if (used_slots_ != shape_.records) {
      return Bad("its tables have " + Number(used_slots_) + " entries for " +
                 Number(shape_.records) + " records");
    }
    return Ok();
  }

  Status FindSlot(uint32_t position, std::string_view key) {
    const uint32_t hash = HashOf(key);
    const uint32_t entry = hash % kTables * 8;
    const uint32_t slots = Word(entry + 4);
    const uint64_t table = Word(entry);
    if (slots == 0) return Lost(key);
    if (crowded_[hash % kTables]) return Ok();
    uint32_t slot = (hash >> 8) % slots;
    uint32_t alike = 0;
    for (uint32_t step = 0; step < slots; ++step) {
      uint32_t found = Word(table + slot * uint64_t{kSlotBytes} + 4);
      if (found == 0) return Lost(key);
      if (Word(table + slot * uint64_t{kSlotBytes}) == hash) {
        ++alike;
        if (found == position) {
          Alike(alike, key);
          return Ok();
        }
        if (SameKey(found, key)) Duplicate(found, position);
      }
      const bool too_many = ++steps_ > steps_most_ && steps_ / kStepsPerRecord > shape_.records;
      if (steps_most_ == 0 || (too_many && step >= kStepsPerRecord)) {
        crowded_.set(hash % kTables);
        crowded_from_[hash % kTables] = last_hidden_ == position ? position + 1 : position;
        return Ok();
      }
      if (++slot == slots) slot = 0;
    }
    return Lost(key);
  }

  // Validates tables whose look-ups would take too long, each as a whole: every record has one
  // slot; no empty slot lies between the start of its look-up and that slot; and of records with
  // the same key, look-ups find the first on the way.
  Status CheckCrowded() {
    if (crowded_.none()) return Ok();
    std::array<std::vector<uint32_t>, kTables> records;  // in file order
    for (uint32_t position = kMapHeaderBytes; position < shape_.records_end;) {
      const RawRecord record = RecordAt(bytes_, position);
      const uint32_t table = HashOf(record.key) % kTables;
      if (crowded_[table]) records[table].push_back(position);
      position = record.end;
    }
    for (uint32_t table = 0; table < kTables; ++table) {
      if (!crowded_[table]) continue;
      if (Status s = CheckTable(table, records[table]); !s) return s;
    }
    return Ok();
  }

  Status CheckTable(uint32_t table, const std::vector<uint32_t>& records) {
    const uint64_t begin = Word(table * 8);
    const uint32_t slots = Word(table * 8 + 4);
    auto target = [&](uint32_t slot) { return Word(begin + slot * uint64_t{kSlotBytes} + 4); };
    // The distance of each record from the start of its look-up; 0: no slot found yet.
    std::vector<uint32_t> steps(records.size());
    std::unordered_map<uint32_t, uint32_t> alike;  // by hash
    // Consecutive used slots before the current one, wrapping around the end of the table.
    uint32_t run = 0;
    while (run < slots && target(slots - 1 - run) != 0) ++run;
    for (uint32_t slot = 0; slot < slots; ++slot) {
      const uint32_t position = target(slot);
      if (position == 0) {
        run = 0;
        continue;
      }
      auto at = std::lower_bound(records.begin(), records.end(), position);
      if (at == records.end() || *at != position) return NoRecord(table, position);
      const std::string_view key = RecordAt(bytes_, position).key;
      const uint32_t hash = HashOf(key);
      const uint32_t home = (hash >> 8) % slots;
      const uint32_t before = slot >= home ? slot - home : slots - home + slot;
      uint32_t& step = steps[static_cast<size_t>(at - records.begin())];
      if (Word(begin + slot * uint64_t{kSlotBytes}) != hash || before > run) return Lost(key);
      if (step != 0) return NoRecord(table, position);
      step = before + 1;
      Alike(++alike[hash], key);
      run = std::min(run + 1, slots);
    }
    std::unordered_map<std::string_view, size_t, NameHash> found;
    auto key_of = [&](size_t i) { return RecordAt(bytes_, records[i]).key; };
    for (size_t i = 0; i < records.size(); ++i) {
      if (steps[i] == 0) return Lost(key_of(i));
      auto [same, fresh] = found.try_emplace(key_of(i), i);
      if (!fresh && steps[i] < steps[same->second]) same->second = i;
    }
    for (size_t i = 0; i < records.size(); ++i) {
      const size_t first = found.at(key_of(i));
      if (first != i && records[i] >= crowded_from_[table]) Duplicate(records[first], records[i]);
    }
    return Ok();
  }

  static uint32_t HashOf(std::string_view key) {
    return cdb_hash(key.data(), static_cast<unsigned>(key.size()));
  }
  void Alike(uint32_t number, std::string_view key) {
    if (number <= shape_.alike) return;
    shape_.alike = number;
    shape_.alike_key = key;
  }

  bool SameKey(uint32_t position, std::string_view key) const {
    const uint32_t end = shape_.records_end;
    return position >= kMapHeaderBytes && position <= end && end - position >= kRecordHeader &&
           Word(position) == key.size() && end - position - kRecordHeader >= key.size() &&
           bytes_.substr(position + kRecordHeader, key.size()) == key;
  }

  // A record hidden by several others counts once.
  void Duplicate(uint32_t found, uint32_t hidden) {
    if (last_hidden_ == hidden) return;
    last_hidden_ = hidden;
    ++shape_.duplicates;
    if (hooks_.duplicate) hooks_.duplicate(found, hidden);
  }

  Error Broken(uint32_t position) const {
    return Bad("the record at byte " + Number(position) + " (number " + Number(shape_.records + 1) +
               ") reaches beyond the end of the records at byte " + Number(shape_.records_end));
  }
  Error Lost(std::string_view key) const {
    return Bad("its tables do not lead to the record " + QuoteBytes(key));
  }

  Error NoRecord(uint32_t table, uint32_t position) const {
    return Bad("table " + Number(table) + " leads to byte " + Number(position) +
               ", where no record of it begins, or twice");
  }

  const std::string_view bytes_;
  const MapValidateHooks& hooks_;
  const uint64_t steps_most_;
  std::bitset<kTables> crowded_;                     // tables that CheckCrowded() validates
  std::array<uint32_t, kTables> crowded_from_ = {};  // earlier duplicates were found by look-ups
  uint32_t size_ = 0;
  uint64_t used_slots_ = 0;
  uint64_t steps_ = 0;
  uint32_t last_hidden_ = 0;
  MapShape shape_;
};

}  // namespace

Status CheckMapSize(uint64_t bytes) {
  if (bytes < kMapHeaderBytes) {
    return Bad(
        "has " + Number(bytes) +
        " bytes, less than the header of a CDB file (2048); rum-map build makes one of a text");
  }
  if (bytes > std::numeric_limits<uint32_t>::max()) {
    return Bad("is larger than 4 GiB, the limit of a CDB file");
  }
  return Ok();
}

bool HasMapHeader(std::string_view beginning) {
  if (beginning.size() < kMapHeaderBytes) return false;
  std::string_view header = beginning.substr(0, kMapHeaderBytes);
  if (header.find_first_not_of('\0') == header.npos) return true;
  uint64_t next = WordAt(header, 0);
  if (next < kMapHeaderBytes) return false;
  for (uint32_t table = 0; table < kTables; ++table) {
    const uint64_t position = WordAt(header, table * 8), slots = WordAt(header, table * 8 + 4);
    if (slots == 0) continue;
    if (position != next) return false;
    next += slots * kSlotBytes;
    if (next > std::numeric_limits<uint32_t>::max()) return false;
  }
  return true;
}

Result<MapShape> ValidateMap(std::string_view bytes, const MapValidateHooks& hooks,
                             uint64_t steps_most) {
  return Validator(bytes, hooks, steps_most).Run();
}

RawRecord RecordAt(std::string_view bytes, uint32_t position) {
  auto* head = reinterpret_cast<const unsigned char*>(bytes.data()) + position;
  uint32_t key_size = cdb_unpack(head), value_size = cdb_unpack(head + 4);
  uint32_t key = position + kRecordHeader;
  return {bytes.substr(key, key_size), bytes.substr(key + key_size, value_size),
          key + key_size + value_size};
}

void VisitRecords(std::string_view bytes, uint32_t records_end,
                  const std::function<bool(std::string_view, std::string_view)>& visit) {
  for (uint32_t position = kMapHeaderBytes; position < records_end;) {
    RawRecord record = RecordAt(bytes, position);
    if (!visit(record.key, record.value)) return;
    position = record.end;
  }
}

}  // namespace rum
