// Stops the guessing of passwords: an address from which too many logins failed is blocked for a
// while. Bounded, whatever addresses come.
#pragma once

#include <cstdint>
#include <memory>

#include "base/cidr.h"
#include "base/rate.h"

namespace rum {

// [any] All of it. An address is one of IPv4, or a network of IPv6 of 64 bits, which is what one
// customer has. Clients of unix sockets have none and are never blocked.
class LoginGuard {
 public:
  static constexpr size_t kShards = 64;
  static constexpr size_t kAddressesMost = 1024;  // of a shard; then the oldest go

  // What the operator wants; the same for all calls, until a reload.
  struct Settings {
    Rate failures;  // off: nobody is ever blocked
    Millis block{60000};
    CidrSet exempt;
  };
  using Clock = uint64_t (*)();  // microseconds; never goes back

  explicit LoginGuard(Clock clock = NowMicros);
  ~LoginGuard();
  LoginGuard(const LoginGuard&) = delete;

  bool Blocks(const Settings& settings, const SocketAddress& address) const;
  // Counts one failed login. True: the address is blocked from here on.
  bool Failed(const Settings& settings, const SocketAddress& address);

  size_t blocked() const;  // addresses that are blocked now
  size_t watched() const;  // all that are remembered

 private:
  struct Shard;
  Shard& ShardOf(const Cidr& key) const;

  const Clock clock_;
  const std::unique_ptr<Shard[]> shards_;
};

}  // namespace rum
