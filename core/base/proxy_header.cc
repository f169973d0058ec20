#include "base/proxy_header.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <cstring>

namespace rum {
namespace {

using Status = ProxyHeader::Status;

constexpr std::string_view kV1Word = "PROXY ";
constexpr std::string_view kV2Signature("\r\n\r\n\0\r\nQUIT\n", 12);
constexpr size_t kV2Fixed = 16;  // signature, command, family, length
constexpr uint8_t kLocal = 0x20, kProxy = 0x21;
constexpr uint8_t kTcp4 = 0x11, kTcp6 = 0x21, kUnspecified = 0x00;
constexpr size_t kTcp4Size = 12, kTcp6Size = 36, kUnixSize = 216;

ProxyHeader Bad(const char* fault) {
  return {.status = Status::kBad, .size = 0, .ends = {}, .fault = fault};
}
ProxyHeader Good(size_t size, std::optional<ProxyEnds> ends = std::nullopt) {
  return {.status = Status::kGood, .size = size, .ends = ends, .fault = ""};
}

std::string_view TakeWord(std::string_view& rest) {
  size_t space = rest.find(' ');
  std::string_view word = rest.substr(0, space);
  rest = space == rest.npos ? std::string_view() : rest.substr(space + 1);
  return word;
}

std::optional<uint16_t> Port(std::string_view text) {
  uint16_t port = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  if (text.size() > 1 && text[0] == '0') return std::nullopt;
  return port;
}

std::optional<SocketAddress> Numeric(std::string_view host, std::string_view port, int family) {
  auto number = Port(port);
  if (!number || host.size() >= INET6_ADDRSTRLEN || host.find('\0') != host.npos) {
    return std::nullopt;
  }
  auto address = SocketAddress::Numeric(std::string(host), *number);
  if (!address || address->family() != family) return std::nullopt;
  return *address;
}

// "PROXY TCP4 192.0.2.1 192.0.2.2 40112 3306", without the line end.
ProxyHeader ParseV1Line(std::string_view line) {
  size_t size = line.size() + 2;
  std::string_view rest = line.substr(kV1Word.size());
  std::string_view family = TakeWord(rest);
  if (family == "UNKNOWN") return Good(size);  // the protocol requires to ignore the rest
  if (family != "TCP4" && family != "TCP6") return Bad("the PROXY header has an unknown family");
  std::string_view source = TakeWord(rest), destination = TakeWord(rest);
  std::string_view source_port = TakeWord(rest);
  int number = family == "TCP4" ? AF_INET : AF_INET6;
  auto from = Numeric(source, source_port, number);
  auto to = Numeric(destination, rest, number);
  if (!from || !to) return Bad("the PROXY header has a bad address");
  return Good(size, ProxyEnds{from->Canonical(), to->Canonical()});
}

ProxyHeader ParseV1(std::string_view bytes) {
  std::string_view line = bytes.substr(0, ProxyHeader::kV1Most);
  size_t end = line.find("\r\n");
  if (end != line.npos) return ParseV1Line(line.substr(0, end));
  return line.size() < ProxyHeader::kV1Most ? ProxyHeader() : Bad("the PROXY header has no end");
}

SocketAddress Binary(const uint8_t* address, const uint8_t* port, bool v6) {
  sockaddr_in6 six = {};
  sockaddr_in four = {};
  if (v6) {
    six.sin6_family = AF_INET6;
    std::memcpy(&six.sin6_addr, address, sizeof six.sin6_addr);
    std::memcpy(&six.sin6_port, port, sizeof six.sin6_port);
    return SocketAddress::From(reinterpret_cast<sockaddr*>(&six), sizeof six);
  }
  four.sin_family = AF_INET;
  std::memcpy(&four.sin_addr, address, sizeof four.sin_addr);
  std::memcpy(&four.sin_port, port, sizeof four.sin_port);
  return SocketAddress::From(reinterpret_cast<sockaddr*>(&four), sizeof four);
}

// The family is in the upper half of the byte, the transport in the lower half.
size_t AddressSize(uint8_t family) {
  switch (family >> 4) {
    case 1:
      return kTcp4Size;
    case 2:
      return kTcp6Size;
    case 3:
      return kUnixSize;
    default:
      return 0;
  }
}

ProxyHeader ParseV2(std::string_view bytes) {
  if (bytes.size() < kV2Fixed) return {};
  const auto* b = reinterpret_cast<const uint8_t*>(bytes.data());
  uint8_t command = b[12], family = b[13];
  size_t length = static_cast<size_t>(b[14]) << 8 | b[15];
  if (command != kLocal && command != kProxy) return Bad("the PROXY header has an unknown command");
  if (family >> 4 > 3 || (family & 15) > 2) return Bad("the PROXY header has an unknown family");
  if (kV2Fixed + length > ProxyHeader::kV2Most) return Bad("the PROXY header is too long");
  // The address block of a LOCAL header is ignored, whatever its length.
  if (command == kProxy && length < AddressSize(family))
    return Bad("the PROXY header is too short");
  if (bytes.size() < kV2Fixed + length) return {};
  const uint8_t* a = b + kV2Fixed;
  // Clients of rum use neither datagrams nor unix paths here, and the TLVs after the addresses are
  // not used.
  if (command == kProxy && family == kTcp4) {
    return Good(kV2Fixed + length,
                ProxyEnds{Binary(a, a + 8, false), Binary(a + 4, a + 10, false)});
  }
  if (command == kProxy && family == kTcp6) {
    return Good(kV2Fixed + length, ProxyEnds{Binary(a, a + 32, true).Canonical(),
                                             Binary(a + 16, a + 34, true).Canonical()});
  }
  return Good(kV2Fixed + length);
}

bool BeginsLike(std::string_view bytes, std::string_view word) {
  size_t size = std::min(bytes.size(), word.size());
  return bytes.substr(0, size) == word.substr(0, size);
}

std::string BuildV1(const ProxyEnds& ends) {
  std::string line(kV1Word);
  line += ends.source.family() == AF_INET ? "TCP4 " : "TCP6 ";
  line += ends.source.host() + " " + ends.destination.host() + " ";
  return line + std::to_string(ends.source.port()) + " " + std::to_string(ends.destination.port()) +
         "\r\n";
}

void AppendAddress(std::string& out, const SocketAddress& address) {
  if (address.family() == AF_INET) {
    const auto* four = reinterpret_cast<const sockaddr_in*>(address.get());
    out.append(reinterpret_cast<const char*>(&four->sin_addr), sizeof four->sin_addr);
  } else {
    const auto* six = reinterpret_cast<const sockaddr_in6*>(address.get());
    out.append(reinterpret_cast<const char*>(&six->sin6_addr), sizeof six->sin6_addr);
  }
}

std::string BuildV2(const std::optional<ProxyEnds>& ends) {
  std::string out(kV2Signature);
  bool v6 = ends && ends->source.family() == AF_INET6;
  size_t length = !ends ? 0 : v6 ? kTcp6Size : kTcp4Size;
  out += static_cast<char>(ends ? kProxy : kLocal);
  out += static_cast<char>(!ends ? kUnspecified : v6 ? kTcp6 : kTcp4);
  out += '\0';
  out += static_cast<char>(length);
  if (!ends) return out;
  AppendAddress(out, ends->source);
  AppendAddress(out, ends->destination);
  for (const SocketAddress* end : {&ends->source, &ends->destination}) {
    out += static_cast<char>(end->port() >> 8);
    out += static_cast<char>(end->port() & 0xff);
  }
  return out;
}

}  // namespace

ProxyHeader ParseProxyHeader(std::string_view bytes) {
  if (bytes.empty()) return {};
  if (BeginsLike(bytes, kV2Signature)) return ParseV2(bytes);
  if (!BeginsLike(bytes, kV1Word)) return Bad("there is no PROXY header");
  return bytes.size() < kV1Word.size() ? ProxyHeader() : ParseV1(bytes);
}

std::string BuildProxyHeader(ProxyVersion version, const std::optional<ProxyEnds>& ends) {
  std::optional<ProxyEnds> written;
  if (ends && ends->source.ip() && ends->destination.ip()) written = ends;
  if (written && written->source.family() != written->destination.family()) {
    written = ProxyEnds{written->source.AsV6(), written->destination.AsV6()};
  }
  if (version == ProxyVersion::kV2) return BuildV2(written);
  return written ? BuildV1(*written) : std::string(kV1Word) + "UNKNOWN\r\n";
}

}  // namespace rum
