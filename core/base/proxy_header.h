// Parses and builds PROXY protocol headers, versions 1 and 2, as specified in haproxy's
// proxy-protocol.txt. Pure: takes bytes, returns addresses or "need more", and the inverse.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/address.h"

namespace rum {

enum class ProxyVersion : uint8_t { kOff, kV1, kV2 };

// Both endpoints of a client's connection, as a proxy before rum reports them.
struct ProxyEnds {
  SocketAddress source;
  SocketAddress destination;
};

struct ProxyHeader {
  static constexpr size_t kV1Most = 107;        // including the line end
  static constexpr size_t kV2Most = 16 + 4096;  // lower than the protocol's 65551

  enum class Status : uint8_t { kMore, kGood, kBad };
  Status status = Status::kMore;
  size_t size = 0;                // kGood: length of the header in bytes
  std::optional<ProxyEnds> ends;  // canonical; nullopt: use the addresses of the connection
  const char* fault = "";         // kBad: the reason
};

// Parses the header at the start of `bytes`. Returns kBad as soon as they cannot become a valid
// header.
ProxyHeader ParseProxyHeader(std::string_view bytes);

// Builds a header for a client. Without `ends`, or if they are not IP addresses, it is for rum's
// own connection (v1 UNKNOWN, v2 LOCAL). If the two families differ, both are written as IPv6.
std::string BuildProxyHeader(ProxyVersion version, const std::optional<ProxyEnds>& ends);

}  // namespace rum
