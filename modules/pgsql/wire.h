// Numbers of the protocol, which are in network byte order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace rum::pgsql {

// `bytes` has 4 at least.
inline uint32_t ReadU32(std::string_view bytes) {
  uint32_t value = 0;
  for (size_t i = 0; i < 4; ++i) value = value << 8 | static_cast<uint8_t>(bytes[i]);
  return value;
}

inline std::string U32(uint32_t value) {
  std::string bytes(4, '\0');
  for (size_t i = 4; i-- > 0; value >>= 8) bytes[i] = static_cast<char>(value);
  return bytes;
}

}  // namespace rum::pgsql
