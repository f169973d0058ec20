// Validates a CDB file: it is complete, and every look-up terminates correctly.
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
  uint64_t duplicates = 0;   // records hidden by an earlier one with the same key
  uint32_t records_end = 0;  // end of the records and start of the tables
  uint32_t alike = 0;        // the largest number of records with equal hashes
  std::string alike_key;     // one of them
};

struct MapValidateHooks {
  // Called every few megabytes with the current position; false aborts with an error.
  std::function<bool(uint32_t position)> progress;
  // Called for each record after a look-up of its key found it.
  std::function<void(std::string_view key, std::string_view value)> record;
  // Called if the record at `hidden` has the same key as the record at `found`, which look-ups
  // return.
  std::function<void(uint32_t found, uint32_t hidden)> duplicate;
};

// A CDB file has at least a header and at most 4 GiB.
Status CheckMapSize(uint64_t bytes);

// Whether a file with this beginning may be a CDB file, complete or not: it starts with a valid
// header, or with the zeroes that writers leave there until the end.
bool HasMapHeader(std::string_view beginning);

// Checks that header, records and tables fill the file without a gap, that a look-up of each
// record's key finds its slot, and that no slot points elsewhere. CDB's hash has no seed, so
// untrusted keys can be chosen to collide: this slows down their look-ups only, not those of others
// and not this check. The hooks validate the values. Errors describe the file without its name.
// `steps_most`: the budget of steps for long look-ups; 0, for tests: treat every table as crowded.
inline constexpr uint64_t kMapStepsMost = 1'000'000;
Result<MapShape> ValidateMap(std::string_view bytes, const MapValidateHooks& hooks = {},
                             uint64_t steps_most = kMapStepsMost);

// Calls `visit` for each record in file order, until it returns false. Only for bytes that
// ValidateMap accepted.
void VisitRecords(std::string_view bytes, uint32_t records_end,
                  const std::function<bool(std::string_view key, std::string_view value)>& visit);

// A record in valid bytes, by position.
struct RawRecord {
  std::string_view key, value;
  uint32_t end;  // start of the next record
};
RawRecord RecordAt(std::string_view bytes, uint32_t position);

}  // namespace rum
