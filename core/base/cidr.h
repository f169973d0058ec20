// Networks as users write them (192.0.2.0/24, 2001:db8::/32, a lone address), and sets of them.
// An IPv6 address that only wraps an IPv4 one (::ffff:192.0.2.1) is that IPv4 address everywhere.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "base/result.h"

namespace rum {

// One network. Comparable, and a key for hash tables by Cidr::Hash.
class Cidr {
 public:
  // An address without a length is a network of its own. Bits behind the length are a mistake.
  static Result<Cidr> Parse(std::string_view text);
  // The network that an IP address lies in: its first `v4_bits` (of 32) or `v6_bits` (of 128).
  static Cidr Around(const SocketAddress& address, unsigned v4_bits, unsigned v6_bits);

  // False for what is not an IP address, and for the other family.
  bool Contains(const SocketAddress& address) const;
  // As it would be written: "192.0.2.0/24".
  std::string text() const;

  bool operator==(const Cidr&) const = default;
  // Keyed: who chooses his address does not choose his bucket.
  struct Hash {
    size_t operator()(const Cidr& cidr) const;
  };

 private:
  std::array<uint8_t, 16> bytes_ = {};  // the first 4 for IPv4; zero behind bits_
  uint8_t bits_ = 0;
  bool v6_ = false;
};

// Clients by where they come from: networks, and `unix` for those on unix sockets.
class CidrSet {
 public:
  // Reads a list separated by commas, of networks and the word `unix`; at least one.
  static Result<CidrSet> Parse(std::string_view text);

  void Add(const CidrSet& other);
  // A peer of a unix socket is one whose address is not an IP address.
  bool Contains(const SocketAddress& address) const;
  bool empty() const { return networks_.empty() && !unix_; }
  bool has_unix() const { return unix_; }

 private:
  std::vector<Cidr> networks_;
  bool unix_ = false;
};

}  // namespace rum
