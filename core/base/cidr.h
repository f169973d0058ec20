// IP networks in text form (192.0.2.0/24, 2001:db8::/32, or a single address), and sets of them.
// IPv4-mapped IPv6 addresses (::ffff:192.0.2.1) are treated as IPv4 everywhere.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "base/result.h"

namespace rum {

// One network. Comparable; hash tables use it as a key with Cidr::Hash.
class Cidr {
 public:
  // Without a prefix length, the network is the single address. Bits set after the prefix are an
  // error.
  static Result<Cidr> Parse(std::string_view text);
  // The network that contains `address`: its first `v4_bits` (of 32) or `v6_bits` (of 128).
  static Cidr Around(const SocketAddress& address, unsigned v4_bits, unsigned v6_bits);

  // False for addresses of the other family and for addresses that are not IP.
  bool Contains(const SocketAddress& address) const;
  // canonical text, such as "192.0.2.0/24"
  std::string text() const;

  auto operator<=>(const Cidr&) const = default;
  // Keyed: clients that choose their address cannot choose its hash bucket.
  struct Hash {
    size_t operator()(const Cidr& cidr) const;
  };

 private:
  std::array<uint8_t, 16> bytes_ = {};  // IPv4 uses the first 4; zero after the first bits_ bits
  uint8_t bits_ = 0;
  bool v6_ = false;
};

// A set of client addresses: networks, and `unix` for clients of unix sockets.
class CidrSet {
 public:
  // Parses a comma-separated list of networks and the word `unix`; at least one entry.
  static Result<CidrSet> Parse(std::string_view text);

  void Add(const CidrSet& other);
  // An address that is not IP counts as a client of a unix socket.
  bool Contains(const SocketAddress& address) const;
  bool empty() const { return networks_.empty() && !unix_; }
  bool has_unix() const { return unix_; }

 private:
  std::vector<Cidr> networks_;
  bool unix_ = false;
};

}  // namespace rum
