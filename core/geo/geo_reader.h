// Makes a GeoDatabase of a file in MaxMind's format, which may be hostile: walks its search tree
// once, with bounds on steps, ranges and time. https://maxmind.github.io/MaxMind-DB/
#pragma once

#include <maxminddb.h>

#include <atomic>
#include <cstdint>
#include <string>
#include <unordered_map>

#include "base/result.h"
#include "geo/geo_database.h"

namespace rum {

class GeoReader {
 public:
  GeoReader(MMDB_s& file, GeoDatabase& database, const std::atomic<bool>* stop);
  // Errors complete the sentence "FILE: ...".
  Status Read();

 private:
  using Ip = GeoDatabase::Ip;
  using Range = GeoDatabase::Range;
  // One side of a node of the search tree.
  struct Record {
    uint64_t node;  // of the next node, if `type` is that of a node
    uint8_t type;
    MMDB_entry_s entry;
  };

  Result<Record> Child(uint64_t node, bool right);
  Result<Record> FindV4();
  Status Walk(const Record& record, const Ip& network, unsigned bits, std::vector<Range>& ranges);
  Status Add(const Ip& begin, Country country, std::vector<Range>& ranges);
  Result<Country> CountryOf(MMDB_entry_s entry);

  MMDB_s& file_;
  GeoDatabase& database_;
  const std::atomic<bool>* const stop_;
  const uint64_t deadline_;  // monotonic microseconds
  uint64_t steps_left_;
  bool has_v4_node_ = false;  // the IPv4 addresses have a node, which IPv6 networks may lead to
  uint64_t v4_node_ = 0;
  bool any_ = false;                             // a country was found
  std::unordered_map<uint32_t, Country> known_;  // by offset in the file's data
};

}  // namespace rum
