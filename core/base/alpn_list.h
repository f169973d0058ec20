// Lists of application protocols (ALPN) as TLS writes them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace rum {

// Whether `list` is a list of ALPN protocols as TLS writes it: names of 1 to 255 bytes, each after
// its length in one byte. Not an empty one.
inline bool IsAlpnList(std::string_view list) {
  if (list.empty()) return false;
  while (!list.empty()) {
    const size_t size = static_cast<uint8_t>(list[0]);
    if (size == 0 || size >= list.size()) return false;
    list.remove_prefix(1 + size);
  }
  return true;
}

// The first name of `wanted` that is in `offered`; empty: none. Both are such lists, or empty.
inline std::string_view FirstCommonAlpn(std::string_view wanted, std::string_view offered) {
  const auto next = [](std::string_view& list) {
    const size_t size = static_cast<uint8_t>(list[0]);
    std::string_view name = list.substr(1, size);
    list.remove_prefix(1 + name.size());
    return name;
  };
  while (!wanted.empty()) {
    const std::string_view name = next(wanted);
    for (std::string_view rest = offered; !rest.empty();) {
      if (next(rest) == name) return name;
    }
  }
  return {};
}

}  // namespace rum
