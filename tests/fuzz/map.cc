// Fuzzes the map: what is accepted must answer for each of its records, whatever the bytes; the
// record, escape and line parsers must give back what they read.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "../core/map/map_cdb_bytes.h"
#include "map/column.h"
#include "map/map_file.h"
#include "map/map_record.h"
#include "map/map_text.h"

namespace {

using rum::MapFile;

void Require(bool truth) {
  if (!truth) abort();
}

// The first record of each key is the one that look-ups return; every one of them is found.
void CheckMap(std::string_view bytes) {
  auto map = MapFile::FromBytes("fuzz", bytes);
  if (!map) {
    Require(!map.error().text.empty());
    return;
  }
  uint64_t records = 0, hidden = 0;
  (*map)->Visit([&](std::string_view key, std::string_view value) {
    std::string_view found;
    Require((*map)->Find(key, &found) == MapFile::Answer::kFound);
    hidden += found.data() != value.data();
    ++records;
    return true;
  });
  Require(records == (*map)->records() && hidden == (*map)->duplicates());
  for (std::string_view key : {"", "alice", "\xff"}) {
    std::string_view value;
    Require((*map)->Find(key, &value) != MapFile::Answer::kBroken);
  }
}

void CheckParsers(std::string_view bytes) {
  if (auto record = rum::ParseMapRecord(bytes)) {
    std::string value = rum::FormatMapRecord(*record);
    Require(value == bytes || value == std::string(bytes) + '\0');
  }
  if (bytes.empty()) return;
  if (auto plain = rum::ParseColumn(bytes)) {
    auto again = rum::ParseColumn(rum::FormatColumn(*plain));
    Require(again.ok() && *again == *plain);
  }
  if (auto entry = rum::ParseMapLine(bytes); entry.ok() && *entry) {
    auto again = rum::ParseMapLine(rum::FormatMapLine((*entry)->user, (*entry)->value));
    Require(again.ok() && *again && (*again)->user == (*entry)->user &&
            (*again)->value == (*entry)->value);
  }
  const size_t half = bytes.size() / 2;
  std::string line = rum::FormatMapLine(bytes.substr(0, half), bytes.substr(half));
  auto entry = rum::ParseMapLine(line);
  Require(entry.ok() && *entry && (*entry)->user == bytes.substr(0, half) &&
          (*entry)->value == bytes.substr(half));
}

}  // namespace

// The first byte chooses: raw bytes of a map; the parsers; or a good map of the words that newlines
// separate, spoiled at as many places as the second byte says (three bytes each).
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view bytes(reinterpret_cast<const char*>(data), size);
  if (bytes.size() < 2) return 0;
  const int what = data[0] % 3;
  if (what == 0) CheckMap(bytes.substr(1));
  if (what == 1) CheckParsers(bytes.substr(1));
  if (what != 2) return 0;
  const size_t spoiled = data[1] % 8;
  bytes.remove_prefix(2);
  if (bytes.size() < spoiled * 3) return 0;
  std::string_view places = bytes.substr(0, spoiled * 3);
  bytes.remove_prefix(places.size());
  // Each word is a key and a value, so that the fuzzer need not invent hashes.
  rum::test::Records records;
  for (size_t end; (end = bytes.find('\n')) != bytes.npos; bytes.remove_prefix(end + 1)) {
    records.emplace_back(bytes.substr(0, end / 2), bytes.substr(end / 2, end - end / 2));
  }
  std::string map = rum::test::MakeCdb(records);
  for (size_t i = 0; i < places.size(); i += 3) {
    size_t at =
        static_cast<unsigned char>(places[i]) << 8 | static_cast<unsigned char>(places[i + 1]);
    map[at % map.size()] = places[i + 2];
  }
  CheckMap(map);
  return 0;
}
