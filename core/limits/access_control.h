// Who may come in, looked at before anything is done for a client: the access lists, how many there
// may be, how many on their way to a server, and how fast they may come.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <string>

#include "base/address.h"
#include "base/cidr.h"
#include "base/rate.h"
#include "limits/keyed_limiter.h"
#include "limits/refusals.h"
#include "limits/user_limits.h"

namespace rum {

// Whom an operator lets in; an empty `allow` allows everybody.
struct AccessLists {
  CidrSet allow, deny;
  // Clients of unix sockets have no address: no list is for them.
  Refusal Judge(const SocketAddress& address) const;
};

// [any] All of it. One for all workers; what is counted outlives a reload. What is off costs no
// table: only two numbers are kept always.
class AccessControl {
 public:
  // What the operator wants; 0 and off: any number.
  struct Settings : AccessLists {
    // What holds for one listener beside that, by its address as text. Enter() does not look at it.
    std::map<std::string, AccessLists, std::less<>> by_listener;
    uint32_t max_connections = 0;
    uint32_t max_connections_per_ip = 0;
    uint32_t max_connecting = 0;
    uint32_t max_connecting_per_destination = 0;
    uint32_t server_backlog = 50;  // who is over it waits and is not refused; see ConnectThrottle
    uint32_t ip_prefix = 64;       // bits of IPv6 that count as one address
    Rate rate, rate_per_ip;
    uint64_t max_memory = 0;  // bytes of the process
  };
  using ByIp = KeyedLimiter<Cidr, Cidr, Cidr::Hash>;
  using ByDestination = NamedLimiter;

  // What is counted for one client, until this goes.
  class Lease {
   public:
    Lease() = default;
    Lease(Lease&& other) noexcept;
    Lease& operator=(Lease&& other) noexcept;
    ~Lease() { Release(); }
    void LoggedIn();  // it is not connecting any more
    void Release();

   private:
    friend class AccessControl;
    AccessControl* access_control_ = nullptr;  // nullptr: not in
    bool connecting_ = false;
    ByIp::Lease ip_;
  };

  using Clock = ByIp::Clock;
  explicit AccessControl(Clock clock = NowMicros)
      : clock_(clock), by_ip_(clock), by_destination_(clock) {}

  // A client has come. The place is taken when the answer is kNone; a refusal costs no rate.
  // Limits by address are not for clients of unix sockets either.
  Refusal Enter(const Settings& settings, const SocketAddress& address, Lease* lease);
  // A client goes to a destination; `lease` is given back when it is logged in or gone.
  Refusal Connect(const Settings& settings, const Address& destination,
                  ByDestination::Lease* lease);

  // Counts a client that is in, or on its way, as new settings want it, whatever their limits.
  void Recount(const Settings& settings, const SocketAddress& address, Lease* lease);
  void Recount(const Settings& settings, const Address& destination, ByDestination::Lease* lease);

  // What the process has now; who looks tells it.
  void set_memory(uint64_t bytes) { memory_.store(bytes, std::memory_order_relaxed); }

  uint32_t connections() const { return connections_.load(std::memory_order_relaxed); }
  uint32_t connecting() const { return connecting_.load(std::memory_order_relaxed); }
  size_t addresses() const { return by_ip_.active(); }
  size_t destinations() const { return by_destination_.active(); }

 private:
  Refusal EnterByRate(const Settings& settings, const SocketAddress& address, Lease* lease);
  Refusal EnterByIp(const Settings& settings, const SocketAddress& address, Lease* lease);

  const Clock clock_;
  std::atomic<uint32_t> connections_ = 0, connecting_ = 0;
  std::atomic<uint64_t> memory_ = 0;
  std::mutex mutex_;  // guards the next one
  Bucket bucket_;     // of all clients
  ByIp by_ip_;
  ByDestination by_destination_;
};

}  // namespace rum
