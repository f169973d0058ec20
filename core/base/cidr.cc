#include "base/cidr.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <cstring>

#include "base/keyed_hash.h"

namespace rum {
namespace {

Error Bad(std::string_view text, const std::string& why) {
  return Error{Fault::kUsage, "'" + std::string(text) + "': " + why};
}

struct Ip {
  std::array<uint8_t, 16> bytes = {};
  bool v6 = false;
};

Ip IpOf(const SocketAddress& any) {
  const SocketAddress address = any.Canonical();
  Ip ip;
  ip.v6 = address.family() == AF_INET6;
  if (ip.v6) {
    std::memcpy(ip.bytes.data(), &reinterpret_cast<const sockaddr_in6*>(address.get())->sin6_addr,
                16);
  } else {
    std::memcpy(ip.bytes.data(), &reinterpret_cast<const sockaddr_in*>(address.get())->sin_addr, 4);
  }
  return ip;
}

// Clears the bits after the first `bits`.
std::array<uint8_t, 16> Mask(std::array<uint8_t, 16> bytes, unsigned bits) {
  for (size_t i = 0; i < bytes.size(); ++i) {
    unsigned left = bits > 8 * i ? bits - static_cast<unsigned>(8 * i) : 0;
    if (left < 8) bytes[i] &= static_cast<uint8_t>(0xff00 >> left);
  }
  return bytes;
}

}  // namespace

Result<Cidr> Cidr::Parse(std::string_view text) {
  size_t slash = text.find('/');
  std::string host(text.substr(0, slash));
  auto address = host.find('\0') == host.npos ? SocketAddress::Numeric(host, 0)
                                              : Result<SocketAddress>(Error{});
  if (!address) return Bad(text, "not a network (write 192.0.2.0/24, 2001:db8::/32 or an address)");
  Ip ip = IpOf(*address);
  unsigned wrapped = address->family() == AF_INET6 && !ip.v6 ? 96 : 0;
  unsigned most = ip.v6 ? 128 : 32 + wrapped;
  unsigned bits = most;
  if (slash != text.npos) {
    std::string_view length = text.substr(slash + 1);
    auto [end, error] = std::from_chars(length.data(), length.data() + length.size(), bits);
    if (error != std::errc() || end != length.data() + length.size() || bits > most ||
        bits < wrapped) {
      return Bad(text, "the prefix length is not a number from " + std::to_string(wrapped) +
                           " to " + std::to_string(most));
    }
  }
  Cidr cidr;
  cidr.bits_ = static_cast<uint8_t>(bits - wrapped);
  cidr.v6_ = ip.v6;
  cidr.bytes_ = Mask(ip.bytes, cidr.bits_);
  if (cidr.bytes_ != ip.bytes) {
    return Bad(text, "address bits are set beyond the prefix length; write " + cidr.text());
  }
  return cidr;
}

Cidr Cidr::Around(const SocketAddress& address, unsigned v4_bits, unsigned v6_bits) {
  Ip ip = IpOf(address);
  Cidr cidr;
  cidr.v6_ = ip.v6;
  cidr.bits_ = static_cast<uint8_t>(ip.v6 ? v6_bits : v4_bits);
  cidr.bytes_ = Mask(ip.bytes, cidr.bits_);
  return cidr;
}

bool Cidr::Contains(const SocketAddress& address) const {
  if (!address.ip()) return false;
  Ip ip = IpOf(address);
  return ip.v6 == v6_ && Mask(ip.bytes, bits_) == bytes_;
}

std::string Cidr::text() const {
  char buffer[INET6_ADDRSTRLEN] = "";
  inet_ntop(v6_ ? AF_INET6 : AF_INET, bytes_.data(), buffer, sizeof buffer);
  return buffer + ("/" + std::to_string(bits_));
}

size_t Cidr::Hash::operator()(const Cidr& cidr) const {
  char bytes[sizeof cidr.bytes_ + 2];
  std::memcpy(bytes, cidr.bytes_.data(), sizeof cidr.bytes_);
  bytes[sizeof cidr.bytes_] = static_cast<char>(cidr.bits_);
  bytes[sizeof cidr.bytes_ + 1] = cidr.v6_;
  return KeyedHash({bytes, sizeof bytes});
}

Result<CidrSet> CidrSet::Parse(std::string_view text) {
  CidrSet set;
  for (std::string_view rest = text;;) {
    size_t comma = rest.find(',');
    std::string_view one = rest.substr(0, comma);
    if (one == "unix") {
      set.unix_ = true;
    } else {
      auto network = Cidr::Parse(one);
      if (!network) return network.error();
      set.networks_.push_back(*network);
    }
    if (comma == rest.npos) return set;
    rest = rest.substr(comma + 1);
  }
}

void CidrSet::Add(const CidrSet& other) {
  networks_.insert(networks_.end(), other.networks_.begin(), other.networks_.end());
  unix_ |= other.unix_;
}

bool CidrSet::Contains(const SocketAddress& address) const {
  if (!address.ip()) return unix_;
  return std::any_of(networks_.begin(), networks_.end(),
                     [&](const Cidr& network) { return network.Contains(address); });
}

}  // namespace rum
