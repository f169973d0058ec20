// Addresses: the text form of options and maps (tcp:host:port, tls:host:port, tcp:[v6]:port,
// sock:path) and the sockaddr form.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace rum {

// An address in text form. Comparable, so that duplicate destinations are found.
struct Address {
  enum class Kind : uint8_t { kTcp, kUnix };
  Kind kind = Kind::kTcp;
  bool tls = false;   // tcp only: TLS from the first byte on
  uint16_t port = 0;  // tcp only
  std::string host;   // tcp: a name or a numeric address, without brackets; unix: the path

  bool operator==(const Address&) const = default;
  std::string text() const;  // canonical text, such as "tcp:[::1]:3306"
};

// Parses one address. Host names have at most 253 letters, digits, '.', '-' and '_'; ports are 1 to
// 65535 (also 0 with `any_port`, for listeners in tests); paths fit a sockaddr_un.
Result<Address> ParseAddress(std::string_view text, bool any_port = false);

// Parses a comma-separated list of 1 to 64 addresses.
Result<std::vector<Address>> ParseAddresses(std::string_view text);

// A sockaddr. Copyable; 28 bytes for IP. The address of a unix peer has no path.
class SocketAddress {
 public:
  SocketAddress() { std::memset(&u_, 0, sizeof u_); }
  static SocketAddress From(const sockaddr* address, socklen_t size);
  // Parses a numeric IPv4 or IPv6 host; a name is an error.
  static Result<SocketAddress> Numeric(const std::string& host, uint16_t port);
  // Parses the address of a client, a numeric host or "unix", and returns it in canonical form.
  static Result<SocketAddress> Client(const std::string& text);

  // Converts an IPv4-mapped IPv6 address (::ffff:192.0.2.1, as dual-stack sockets report it) to
  // IPv4; other addresses are unchanged. Client addresses, and the addresses that they are compared
  // with, are stored in this form.
  SocketAddress Canonical() const;
  // The inverse: maps an IPv4 address to IPv6.
  SocketAddress AsV6() const;

  bool ip() const { return family() == AF_INET || family() == AF_INET6; }
  int family() const { return u_.any.sa_family; }
  uint16_t port() const;
  void set_port(uint16_t port);
  const sockaddr* get() const { return &u_.any; }
  socklen_t size() const;
  // "192.0.2.1:40112", "[2001:db8::1]:40112", "unix".
  std::string text() const;
  // The same without the port.
  std::string host() const;

 private:
  union {
    sockaddr any;
    sockaddr_in v4;
    sockaddr_in6 v6;
  } u_;
};

// A user, optionally at one client address.
struct UserAtAddress {
  std::string user;
  std::optional<SocketAddress> address;
};
// Splits "alice@192.0.2.7", "alice@2001:db8::1", "alice@[2001:db8::1]" or "alice@unix". Names may
// contain '@': if the text after the last '@' is not a client address, the whole text is the name.
UserAtAddress SplitUserAtAddress(const std::string& text);

}  // namespace rum
