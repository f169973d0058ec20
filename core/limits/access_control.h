// Decides which clients are accepted, before any other work for them: access lists, and limits of
// connections, of connections in login, and of rates.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <string_view>

#include "base/address.h"
#include "base/cidr.h"
#include "base/country.h"
#include "base/rate.h"
#include "base/result.h"
#include "limits/keyed_limiter.h"
#include "limits/other_nodes.h"
#include "limits/refusals.h"
#include "limits/user_limits.h"

namespace rum {

class GeoDatabase;

// Networks and countries.
struct AccessList {
  CidrSet networks;
  CountrySet countries;

  // Parses a comma-separated list of networks and of countries, such as country:CZ.
  static Result<AccessList> Parse(std::string_view text);
  void Add(const AccessList& other);
  bool empty() const { return networks.empty() && countries.empty(); }
  // `geo` is only used if there are countries; nullptr: the country of no address is known.
  bool Contains(const SocketAddress& address, const GeoDatabase* geo) const;
};

// An empty `allow` admits everyone.
struct AccessLists {
  AccessList allow, deny;
  // Access lists do not apply to clients of unix sockets, which have no address.
  Refusal Judge(const SocketAddress& address, const GeoDatabase* geo) const;
};

// [any] One object for all workers; its counts survive a reload. Limits that are off use no tables:
// only two counters are always kept.
class AccessControl {
 public:
  // The configured limits; 0 and off: unlimited.
  struct Settings : AccessLists {
    // Additional access lists of a listener, by its address as text. Enter() does not check them.
    std::map<std::string, AccessLists, std::less<>> by_listener;
    uint32_t max_connections = 0;
    uint32_t max_connections_per_ip = 0;
    uint32_t max_connecting = 0;
    uint32_t max_connecting_per_destination = 0;
    uint32_t server_backlog = 50;  // clients over it wait and are not refused; see ConnectThrottle
    uint32_t ip_prefix = 64;       // bits of an IPv6 address that are counted as one address
    Rate rate, rate_per_ip;
    uint64_t max_memory = 0;  // of the process, in bytes
  };
  using ByIp = KeyedLimiter<Cidr, Cidr, Cidr::Hash>;
  using ByDestination = NamedLimiter;

  // The counts held for one client; released on destruction.
  class Lease {
   public:
    Lease() = default;
    Lease(Lease&& other) noexcept;
    Lease& operator=(Lease&& other) noexcept;
    ~Lease() { Release(); }
    void LoggedIn();  // no longer counts as connecting
    void Release();

   private:
    friend class AccessControl;
    AccessControl* access_control_ = nullptr;  // nullptr: holds nothing
    bool connecting_ = false;
    ByIp::Lease ip_;
  };

  using Clock = ByIp::Clock;
  // `others` must live longer; nullptr: there are none.
  explicit AccessControl(Clock clock = NowMicros, OtherNodes* others = nullptr)
      : clock_(clock), others_(others), by_ip_(clock), by_destination_(clock) {}

  // Admits a new client. Fills `lease` if the answer is kNone; a refused client does not count
  // towards rates. Limits by address do not apply to clients of unix sockets. `geo`: for access
  // lists with countries.
  Refusal Enter(const Settings& settings, const SocketAddress& address, const GeoDatabase* geo,
                Lease* lease);
  // Counts a client that connects to a destination; release `lease` when it is logged in or gone.
  Refusal Connect(const Settings& settings, const Address& destination,
                  ByDestination::Lease* lease);

  // Moves an accepted client to the counters that new settings use; never refuses.
  void Recount(const Settings& settings, const SocketAddress& address, Lease* lease);
  void Recount(const Settings& settings, const Address& destination, ByDestination::Lease* lease);

  // Sets the memory use of the process; measured by the caller.
  void set_memory(uint64_t bytes) { memory_.store(bytes, std::memory_order_relaxed); }

  uint32_t connections() const { return connections_.load(std::memory_order_relaxed); }
  uint32_t connecting() const { return connecting_.load(std::memory_order_relaxed); }
  size_t addresses() const { return by_ip_.active(); }
  // The client addresses with the most connections, in text form.
  KeySessions TopAddresses(size_t most) const;
  // As those of KeyedLimiter, for client addresses.
  void CountCharges() { by_ip_.CountCharges(); }
  ChargesOf<Cidr> Charges(size_t most) { return by_ip_.Charges(most); }
  void Charge(const Cidr& address, uint64_t micros, uint64_t since) {
    by_ip_.Charge(address, micros, since);
  }
  size_t destinations() const { return by_destination_.active(); }

 private:
  Refusal EnterByRate(const Settings& settings, const SocketAddress& address, Lease* lease);
  Refusal EnterByIp(const Settings& settings, const SocketAddress& address, Lease* lease);

  const Clock clock_;
  OtherNodes* const others_;
  std::atomic<uint32_t> connections_ = 0, connecting_ = 0;
  std::atomic<uint64_t> memory_ = 0;
  std::mutex mutex_;  // guards bucket_
  Bucket bucket_;     // all clients
  ByIp by_ip_;
  ByDestination by_destination_;
};

}  // namespace rum
