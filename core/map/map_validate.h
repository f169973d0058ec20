// Proves that bytes are a whole CDB file: every record is there, and every look-up ends well.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace rum {

// A CDB file is a header of 256 (position, size) pairs, then the records, then up to 256 hash
// tables. Numbers are 32 bits, little endian. https://cr.yp.to/cdb/cdb.txt
inline constexpr uint32_t kMapHeaderBytes = 2048;

struct MapShape {
  uint64_t records = 0;
  uint64_t duplicates = 0;   // records that an earlier one with the same key hides
  uint32_t records_end = 0;  // where the records end and the tables begin
  uint32_t alike = 0;        // the most records whose keys have one hash
  std::string alike_key;     // one of these
};

struct MapValidateHooks {
  // Called each few megabytes with the position reached; false stops with an error.
  std::function<bool(uint32_t position)> progress;
  // Each record, when it has been found by a look-up of its key.
  std::function<void(std::string_view key, std::string_view value)> record;
  // The record at `hidden` has the same key as the one at `found`, which look-ups return.
  std::function<void(uint32_t found, uint32_t hidden)> duplicate;
};

// A CDB file has at least a header and at most 4 GiB.
Status CheckMapSize(uint64_t bytes);

// Whether a file that begins so may be a CDB file, whole or not: it has a header as CDB programs
// write it, or the zeroes that stand there while one writes the rest.
bool HasMapHeader(std::string_view beginning);

// Checks that header, records and tables fill the file without a gap, that each record is in the
// slot where a look-up of its key finds it, and that no slot points anywhere else. The hash of a
// CDB file has no seed, so whoever chooses keys can make many of them meet: their look-ups are
// slow, and nobody else's are, nor is this check. What a value holds is left to the hooks. The
// error is a sentence about the file, without its name. `steps_most`: so many steps of look-ups may
// be long ones; 0, for tests: every table counts as crowded.
inline constexpr uint64_t kMapStepsMost = 1'000'000;
Result<MapShape> ValidateMap(std::string_view bytes, const MapValidateHooks& hooks = {},
                             uint64_t steps_most = kMapStepsMost);

// Calls `visit` for each record, in the order of the file, until it returns false. Only for bytes
// that ValidateMap accepted.
void VisitRecords(std::string_view bytes, uint32_t records_end,
                  const std::function<bool(std::string_view key, std::string_view value)>& visit);

// A record of valid bytes, by its position.
struct RawRecord {
  std::string_view key, value;
  uint32_t end;  // where the next one begins
};
RawRecord RecordAt(std::string_view bytes, uint32_t position);

}  // namespace rum
