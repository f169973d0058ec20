// The header by which a proxy tells the next one who its client is: PROXY protocol, versions 1 and
// 2, as haproxy's proxy-protocol.txt has it. Pure: bytes in, addresses or "more" out, and back.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/address.h"

namespace rum {

enum class ProxyVersion : uint8_t { kOff, kV1, kV2 };

// Both ends of a connection, as one of its proxies sees it.
struct ProxyEnds {
  SocketAddress source;
  SocketAddress destination;
};

struct ProxyHeader {
  static constexpr size_t kV1Most = 107;        // the end of line included
  static constexpr size_t kV2Most = 16 + 4096;  // the protocol would allow 65551

  enum class Status : uint8_t { kMore, kGood, kBad };
  Status status = Status::kMore;
  size_t size = 0;                // of a good one, in bytes
  std::optional<ProxyEnds> ends;  // canonical; nothing: the addresses of the connection itself hold
  const char* fault = "";         // of a bad one
};

// Reads the header that `bytes` begin with. kBad as soon as it is plain that they are none.
ProxyHeader ParseProxyHeader(std::string_view bytes);

// Writes one: about a client, or, with nothing, about rum's own connection (v1 UNKNOWN, v2 LOCAL),
// which is also what is said of ends that are not IP addresses. Of two families, both become IPv6.
std::string BuildProxyHeader(ProxyVersion version, const std::optional<ProxyEnds>& ends);

}  // namespace rum
