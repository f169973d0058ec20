#include "base/address.h"

#include <arpa/inet.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cctype>
#include <charconv>

namespace rum {
namespace {

Error Bad(std::string_view text, const char* why) {
  return Error{Fault::kUsage,
               "'" + std::string(text) + "': " + why +
                   " (write tcp:HOST:PORT, tcp:[IPV6]:PORT, tls:HOST:PORT or sock:PATH)"};
}

// As inet_ntop(3), which takes a tenth of all instructions of a short session.
std::string Dotted(const in_addr& address) {
  char buffer[INET_ADDRSTRLEN];
  char* end = buffer;
  for (auto byte : std::bit_cast<std::array<uint8_t, 4>>(address)) {
    if (end != buffer) *end++ = '.';
    end = std::to_chars(end, buffer + sizeof buffer, byte).ptr;
  }
  return {buffer, end};
}

bool HostCharacter(unsigned char c) { return std::isalnum(c) || c == '.' || c == '-' || c == '_'; }

Result<Address> ParseTcp(std::string_view text, std::string_view rest, bool any_port) {
  std::string_view host, port;
  bool brackets = !rest.empty() && rest.front() == '[';
  if (brackets) {
    size_t end = rest.find(']');
    if (end == rest.npos) return Bad(text, "'[' is not closed");
    host = rest.substr(1, end - 1);
    rest = rest.substr(end + 1);
    if (rest.empty() || rest.front() != ':') return Bad(text, "the port is missing");
    port = rest.substr(1);
  } else {
    size_t colon = rest.find(':');
    if (colon == rest.npos) return Bad(text, "the port is missing");
    host = rest.substr(0, colon);
    port = rest.substr(colon + 1);
    if (port.find(':') != port.npos) return Bad(text, "put an IPv6 address in brackets");
  }
  unsigned number = 0;
  auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), number);
  if (error != std::errc() || end != port.data() + port.size() || number > 65535 ||
      (number == 0 && !any_port)) {
    return Bad(text, "the port is not a number from 1 to 65535");
  }
  if (host.empty()) return Bad(text, "the host is missing");
  if (brackets) {
    in6_addr v6;
    if (host.find('\0') != host.npos || inet_pton(AF_INET6, std::string(host).c_str(), &v6) != 1) {
      return Bad(text, "the text in brackets is not an IPv6 address");
    }
  } else if (host.size() > (host.ends_with('.') ? 254u : 253u) || host.front() == '.' ||
             host.find("..") != host.npos ||
             !std::all_of(host.begin(), host.end(), HostCharacter)) {
    return Bad(text, "the host is not a name or an address");
  }
  Address address;
  address.port = static_cast<uint16_t>(number);
  address.host = host;
  return address;
}

}  // namespace

std::string Address::text() const {
  if (kind == Kind::kUnix) return "sock:" + host;
  bool v6 = host.find(':') != host.npos;
  return (tls ? "tls:" : "tcp:") + (v6 ? "[" + host + "]:" : host + ":") + std::to_string(port);
}

Result<Address> ParseAddress(std::string_view text, bool any_port) {
  if (text.starts_with("tcp:")) return ParseTcp(text, text.substr(4), any_port);
  if (text.starts_with("tls:") || text.starts_with("ssl:")) {
    auto address = ParseTcp(text, text.substr(4), any_port);
    if (address) address->tls = true;
    return address;
  }
  if (text.starts_with("sock:")) {
    std::string_view path = text.substr(5);
    if (path.empty()) return Bad(text, "the path is missing");
    if (path.size() >= sizeof(sockaddr_un::sun_path)) {
      return Bad(text, "the path is longer than 107 bytes");
    }
    if (path.find('\0') != path.npos) return Bad(text, "the path has a NUL byte");
    Address address;
    address.kind = Address::Kind::kUnix;
    address.host = path;
    return address;
  }
  return Bad(text, "not an address");
}

Result<std::vector<Address>> ParseAddresses(std::string_view text) {
  std::vector<Address> all;
  for (std::string_view rest = text;;) {
    size_t comma = rest.find(',');
    auto one = ParseAddress(rest.substr(0, comma));
    if (!one) return one.error();
    if (all.size() == 64) return Bad(text.substr(0, 40), "more than 64 addresses");
    all.push_back(std::move(*one));
    if (comma == rest.npos) return all;
    rest = rest.substr(comma + 1);
  }
}

SocketAddress SocketAddress::From(const sockaddr* address, socklen_t size) {
  SocketAddress out;
  if (address->sa_family == AF_INET && size >= sizeof(sockaddr_in)) {
    std::memcpy(&out.u_.v4, address, sizeof(sockaddr_in));
  } else if (address->sa_family == AF_INET6 && size >= sizeof(sockaddr_in6)) {
    std::memcpy(&out.u_.v6, address, sizeof(sockaddr_in6));
  } else {
    out.u_.any.sa_family = address->sa_family;
  }
  return out;
}

Result<SocketAddress> SocketAddress::Numeric(const std::string& host, uint16_t port) {
  SocketAddress out;
  if (inet_pton(AF_INET, host.c_str(), &out.u_.v4.sin_addr) == 1) {
    out.u_.v4.sin_family = AF_INET;
  } else if (inet_pton(AF_INET6, host.c_str(), &out.u_.v6.sin6_addr) == 1) {
    out.u_.v6.sin6_family = AF_INET6;
  } else {
    return Error{Fault::kConfig, "'" + host + "' is not a numeric address"};
  }
  out.set_port(port);
  return out;
}

Result<SocketAddress> SocketAddress::Client(const std::string& text) {
  SocketAddress unix_client;
  unix_client.u_.any.sa_family = AF_UNIX;
  if (text == "unix") return unix_client;
  if (auto numeric = Numeric(text, 0)) return numeric->Canonical();
  return Error{Fault::kConfig, "'" + text + "' is neither a numeric address nor unix"};
}

UserAtAddress SplitUserAtAddress(const std::string& text) {
  const size_t at = text.rfind('@');
  if (at == text.npos) return {text, {}};
  std::string address = text.substr(at + 1);
  const bool brackets = address.size() > 2 && address.front() == '[' && address.back() == ']';
  if (brackets) address = address.substr(1, address.size() - 2);
  if (brackets && address.find(':') == address.npos) return {text, {}};
  auto client = SocketAddress::Client(address);
  if (!client) return {text, {}};
  return {text.substr(0, at), *client};
}

SocketAddress SocketAddress::Canonical() const {
  if (family() != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&u_.v6.sin6_addr)) return *this;
  SocketAddress out;
  out.u_.v4.sin_family = AF_INET;
  std::memcpy(&out.u_.v4.sin_addr, &u_.v6.sin6_addr.s6_addr[12], sizeof out.u_.v4.sin_addr);
  out.u_.v4.sin_port = u_.v6.sin6_port;
  return out;
}

SocketAddress SocketAddress::AsV6() const {
  if (family() != AF_INET) return *this;
  SocketAddress out;
  out.u_.v6.sin6_family = AF_INET6;
  std::memset(&out.u_.v6.sin6_addr.s6_addr[10], 0xff, 2);
  std::memcpy(&out.u_.v6.sin6_addr.s6_addr[12], &u_.v4.sin_addr, sizeof u_.v4.sin_addr);
  out.u_.v6.sin6_port = u_.v4.sin_port;
  return out;
}

uint16_t SocketAddress::port() const {
  if (family() == AF_INET) return ntohs(u_.v4.sin_port);
  if (family() == AF_INET6) return ntohs(u_.v6.sin6_port);
  return 0;
}

void SocketAddress::set_port(uint16_t port) {
  if (family() == AF_INET) u_.v4.sin_port = htons(port);
  if (family() == AF_INET6) u_.v6.sin6_port = htons(port);
}

socklen_t SocketAddress::size() const {
  if (family() == AF_INET) return sizeof(sockaddr_in);
  if (family() == AF_INET6) return sizeof(sockaddr_in6);
  return sizeof(sa_family_t);
}

std::string SocketAddress::host() const {
  if (family() == AF_INET) return Dotted(u_.v4.sin_addr);
  if (family() != AF_INET6) return "unix";
  char buffer[INET6_ADDRSTRLEN] = "";
  inet_ntop(AF_INET6, &u_.v6.sin6_addr, buffer, sizeof buffer);
  return buffer;
}

std::string SocketAddress::text() const {
  if (family() == AF_INET6) return "[" + host() + "]:" + std::to_string(port());
  if (family() == AF_INET) return host() + ":" + std::to_string(port());
  return "unix";
}

}  // namespace rum
