// A CDB writer of the tests' own, so that they do not trust the one of tinycdb, and can also make
// what that would not.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace rum::test {

using Records = std::vector<std::pair<std::string, std::string>>;

inline void PutWord(std::string& out, uint32_t word) {
  for (int shift = 0; shift < 32; shift += 8) out += static_cast<char>(word >> shift & 0xff);
}
inline void SetWord(std::string& bytes, size_t at, uint32_t word) {
  std::string four;
  PutWord(four, word);
  bytes.replace(at, 4, four);
}
inline uint32_t GetWord(std::string_view bytes, size_t at) {
  uint32_t word = 0;
  for (size_t i = 4; i-- > 0;) word = word << 8 | static_cast<unsigned char>(bytes[at + i]);
  return word;
}

inline uint32_t CdbHash(std::string_view key) {
  uint32_t hash = 5381;
  for (char c : key) hash = (hash * 33) ^ static_cast<unsigned char>(c);
  return hash;
}

// As http://cr.yp.to/cdb/cdb.txt describes it; `spread` slots for each record of a table.
inline std::string MakeCdb(const Records& records, uint32_t spread = 2) {
  std::string body, tables, head;
  std::array<std::vector<std::pair<uint32_t, uint32_t>>, 256> entries;
  for (const auto& [key, value] : records) {
    uint32_t hash = CdbHash(key);
    entries[hash & 255].push_back({hash, static_cast<uint32_t>(2048 + body.size())});
    PutWord(body, static_cast<uint32_t>(key.size()));
    PutWord(body, static_cast<uint32_t>(value.size()));
    body += key + value;
  }
  for (const auto& table : entries) {
    auto slots = static_cast<uint32_t>(table.size()) * spread;
    PutWord(head, static_cast<uint32_t>(2048 + body.size() + tables.size()));
    PutWord(head, slots);
    std::vector<std::pair<uint32_t, uint32_t>> used(slots);
    for (const auto& entry : table) {
      uint32_t slot = (entry.first >> 8) % slots;
      while (used[slot].second != 0) slot = (slot + 1) % slots;
      used[slot] = entry;
    }
    for (const auto& [hash, position] : used) {
      PutWord(tables, hash);
      PutWord(tables, position);
    }
  }
  return head + body + tables;
}

inline std::string UserValue(std::string_view destination) {
  std::string value(1, '\0');
  value.append(destination).push_back('\0');
  return value;
}

// A small map whose users all go to `destination`.
inline std::string MakeUsers(std::string_view destination, int users = 20) {
  Records records;
  for (int i = 0; i < users; ++i) {
    records.push_back({"user" + std::to_string(i), UserValue(destination)});
  }
  return MakeCdb(records);
}

}  // namespace rum::test
