// Bytes for the parsers' tests: from hexadecimal text, cut at each place, with each byte changed.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "mysql/reader.h"

namespace rum::mysql {

inline std::string FromHex(std::string_view hex) {
  auto digit = [](char c) { return c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10; };
  std::string bytes;
  for (size_t i = 0; i + 1 < hex.size();) {
    if (hex[i] == ' ') {
      ++i;
      continue;
    }
    bytes.push_back(static_cast<char>(digit(hex[i]) << 4 | digit(hex[i + 1])));
    i += 2;
  }
  return bytes;
}

// A copy on the heap that ends where the bytes end, so that a read beyond them is seen by ASan.
class Exact {
 public:
  explicit Exact(std::string_view bytes) : size_(bytes.size()), bytes_(new uint8_t[bytes.size()]) {
    bytes.copy(reinterpret_cast<char*>(bytes_.get()), size_);
  }
  Bytes get() const { return {bytes_.get(), size_}; }

 private:
  size_t size_;
  std::unique_ptr<uint8_t[]> bytes_;
};

// Calls `parse` with each proper beginning of `bytes`.
inline void ForEachCut(std::string_view bytes, const std::function<void(Bytes)>& parse) {
  for (size_t size = 0; size < bytes.size(); ++size) parse(Exact(bytes.substr(0, size)).get());
}

// Calls `parse` with each byte of `bytes` replaced by values that mean something in the protocol.
inline void ForEachChange(std::string_view bytes, const std::function<void(Bytes)>& parse) {
  for (size_t at = 0; at < bytes.size(); ++at) {
    for (int value :
         {0x00, 0x01, 0x7f, 0x80, 0xfa, 0xfb, 0xfc, 0xfd, 0xfe, 0xff, bytes[at] ^ 0x20}) {
      std::string changed(bytes);
      changed[at] = static_cast<char>(value);
      parse(Exact(changed).get());
    }
  }
}

}  // namespace rum::mysql
