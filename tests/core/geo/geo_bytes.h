// Makes files in MaxMind's format, sound ones and hostile ones:
// https://maxmind.github.io/MaxMind-DB/
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace rum {

// Values of the data section.
inline std::string GeoText(std::string_view text) {  // at most 28 bytes
  return static_cast<char>(0x40 | text.size()) + std::string(text);
}
inline std::string GeoNumber(uint8_t type, uint64_t number, unsigned bytes) {
  std::string value = type > 7 ? std::string{static_cast<char>(bytes), static_cast<char>(type - 7)}
                               : std::string(1, static_cast<char>(type << 5 | bytes));
  while (bytes > 0) value += static_cast<char>(number >> 8 * --bytes);
  return value;
}
inline std::string GeoMap(const std::vector<std::pair<std::string, std::string>>& entries) {
  std::string value(1, static_cast<char>(0xe0 | entries.size()));
  for (const auto& [key, data] : entries) value += GeoText(key) + data;
  return value;
}
inline std::string GeoCountry(std::string_view code) {
  return GeoMap({{"country", GeoMap({{"iso_code", GeoText(code)}})}});
}

class GeoBytes {
 public:
  static constexpr uint32_t kEmpty = UINT32_MAX;

  explicit GeoBytes(unsigned version = 6) : version(version) { NewNode(); }

  // Adds data, and returns what leads to it.
  uint32_t Data(const std::string& value) {
    values.push_back(data.size());
    data += value;
    return kFirstData + static_cast<uint32_t>(values.size()) - 1;
  }
  // Leads from the network to data or to a node. `bits` of `address`, from its first byte.
  void Set(const std::vector<uint8_t>& address, unsigned bits, uint32_t to) {
    uint32_t node = 0;
    for (unsigned i = 0; i < bits; ++i) {
      const bool right = i / 8 < address.size() && (address[i / 8] >> (7 - i % 8) & 1);
      uint32_t& side = right ? nodes[node].second : nodes[node].first;
      if (i + 1 == bits) {
        side = to;
      } else {
        if (side == kEmpty) {
          const uint32_t next = NewNode();
          (right ? nodes[node].second : nodes[node].first) = next;
          node = next;
        } else {
          node = side;
        }
      }
    }
  }
  // An IPv4 network, where the file has them.
  void SetV4(std::vector<uint8_t> address, unsigned bits, uint32_t to) {
    if (version == 6) address.insert(address.begin(), 12, 0);
    Set(address, version == 6 ? bits + 96 : bits, to);
  }
  // The node of ::/96.
  uint32_t V4Node() const {
    uint32_t node = 0;
    for (int i = 0; i < 96; ++i) node = nodes[node].first;
    return node;
  }
  uint32_t NewNode() {
    nodes.emplace_back(kEmpty, kEmpty);
    return static_cast<uint32_t>(nodes.size()) - 1;
  }

  std::string File() const {
    std::string file;
    const auto count = static_cast<uint32_t>(nodes.size());
    for (const auto& [left, right] : nodes) {
      for (uint32_t side : {left, right}) {
        uint32_t record = side;
        if (side == kEmpty) record = count;
        if (side != kEmpty && side >= kFirstData) {
          record = count + 16 + static_cast<uint32_t>(values[side - kFirstData]);
        }
        for (int shift : {16, 8, 0}) file += static_cast<char>(record >> shift);
      }
    }
    file += std::string(16, '\0') + data + "\xab\xcd\xefMaxMind.com";
    return file + GeoMap({{"node_count", GeoNumber(6, node_count ? node_count : count, 4)},
                          {"record_size", GeoNumber(5, 24, 2)},
                          {"ip_version", GeoNumber(5, version, 2)},
                          {"database_type", GeoText("Test")},
                          {"languages", std::string("\x00\x04", 2)},
                          {"binary_format_major_version", GeoNumber(5, 2, 2)},
                          {"binary_format_minor_version", GeoNumber(5, 0, 2)},
                          {"build_epoch", GeoNumber(9, 1767225600, 4)},
                          {"description", GeoMap({})}});
  }

  unsigned version;
  uint32_t node_count = 0;  // 0: as many as there are
  std::string data;
  std::vector<std::pair<uint32_t, uint32_t>> nodes;

 private:
  static constexpr uint32_t kFirstData = 1u << 24;
  std::vector<size_t> values;
};

}  // namespace rum
