// Addresses as users write them (tcp:host:port, tls:host:port, tcp:[v6]:port, sock:path) and as
// sockets hold them.
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

// What a user wrote. Comparable, so that equal destinations are one.
struct Address {
  enum class Kind : uint8_t { kTcp, kUnix };
  Kind kind = Kind::kTcp;
  bool tls = false;   // tcp only: TLS from the first byte on
  uint16_t port = 0;  // tcp only
  std::string host;   // tcp: a name or a number, without brackets; unix: the path

  bool operator==(const Address&) const = default;
  std::string text() const;  // as it would be written: "tcp:[::1]:3306"
};

// Reads one address. Host names are up to 253 bytes of letters, digits, '.', '-' and '_'; ports are
// 1 to 65535 (0 is allowed with `any_port`, for listeners in tests); paths fit a sockaddr_un.
Result<Address> ParseAddress(std::string_view text, bool any_port = false);

// Reads a list separated by commas; at least one, at most 64.
Result<std::vector<Address>> ParseAddresses(std::string_view text);

// An address in the form that sockets take. Copyable; 28 bytes for IP. A unix address of a peer has
// no path.
class SocketAddress {
 public:
  SocketAddress() { std::memset(&u_, 0, sizeof u_); }
  static SocketAddress From(const sockaddr* address, socklen_t size);
  // A numeric IPv4 or IPv6 host, else an error.
  static Result<SocketAddress> Numeric(const std::string& host, uint16_t port);
  // Where a client comes from, in its canonical form: a numeric host, or "unix".
  static Result<SocketAddress> Client(const std::string& text);

  // An IPv6 address that only wraps an IPv4 one (::ffff:192.0.2.1), as a socket for both families
  // has it, becomes that IPv4 address; any other stays. Clients and what they are compared with are
  // kept in this form.
  SocketAddress Canonical() const;
  // The other way: an IPv4 address as an IPv6 one.
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

// A user, and perhaps the address that the user comes from.
struct UserAtAddress {
  std::string user;
  std::optional<SocketAddress> address;
};
// "alice@192.0.2.7", "alice@2001:db8::1", "alice@[2001:db8::1]", "alice@unix". A name may hold '@':
// if what stands behind the last one is not a client's address, all of the text is the name.
UserAtAddress SplitUserAtAddress(const std::string& text);

}  // namespace rum
