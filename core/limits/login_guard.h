// Slows down password guessing: an address with too many failed logins is blocked for a while. A
// login whose password is still being verified counts as failed. Memory is bounded for any number
// of addresses.
#pragma once

#include <cstdint>
#include <list>
#include <memory>

#include "base/cidr.h"
#include "base/rate.h"
#include "limits/charged_bucket.h"

namespace rum {

class OtherNodes;

// [any] An address is an IPv4 address or an IPv6 network of `ip_prefix` bits. Clients of unix
// sockets have no address and are never blocked.
class LoginGuard {
  struct Entry;
  struct Shard;

 public:
  static constexpr size_t kShards = 64;
  static constexpr size_t kAddressesMost = 1024;  // per shard; the oldest are dropped

  // Identical in all calls until a reload.
  struct Settings {
    Rate failures;  // off: no address is blocked
    Millis block{60000};
    CidrSet exempt;
    uint32_t ip_prefix = 64;  // usual size of one customer's network; a change restarts all counts
  };
  using Clock = uint64_t (*)();  // microseconds; monotonic
  // Called on any thread, without a lock held, when a waiting attempt may call Try() again.
  using Wake = void (*)(uint64_t ticket);

  // One verification of a password, from its start to its result. Used only by the session's
  // thread. The guard must outlive it.
  class Attempt {
   public:
    Attempt() = default;
    Attempt(const Attempt&) = delete;
    Attempt& operator=(const Attempt&) = delete;
    ~Attempt() { Release(); }
    // Ends an attempt that succeeded or was never verified: it does not count as a failure.
    void Release();
    bool under_way() const;

   private:
    friend class LoginGuard;
    enum class State : uint8_t { kNone, kWaiting, kUnderWay };
    LoginGuard* guard_ = nullptr;
    Shard* shard_ = nullptr;  // nullptr: unused. Its mutex guards the other members
    Entry* entry_ = nullptr;  // set unless kNone
    Cidr key_;                // key of entry_; used only by the session's thread
    State state_ = State::kNone;
    uint64_t ticket_ = 0;
    std::list<Attempt*>::iterator turn_;  // valid in kWaiting
  };

  enum class Answer : uint8_t {
    kGo,       // the attempt may proceed
    kWait,     // too many attempts are in progress: Wake is called with the ticket, once
    kBlocked,  // the address is blocked
  };

  // `others`: addresses that they block are blocked here, too; nullptr: there are none.
  explicit LoginGuard(Clock clock = NowMicros, Wake wake = nullptr, OtherNodes* others = nullptr);
  ~LoginGuard();
  LoginGuard(const LoginGuard&) = delete;

  bool Blocks(const Settings& settings, const SocketAddress& address) const;
  // Call before a password is verified or passed on. An address has at most as many attempts in
  // progress as failures left; others wait in order of arrival. May be called again at any time.
  Answer Try(const Settings& settings, const SocketAddress& address, uint64_t ticket,
             Attempt* attempt);
  // Counts a failed login, of `attempt` if it is in progress. Returns true if this blocks the
  // address.
  bool Failed(const Settings& settings, const SocketAddress& address, Attempt* attempt = nullptr);

  // What counts as the address of a client.
  static Cidr KeyOf(const Settings& settings, const SocketAddress& address);
  // Ends the block of an address; its failures count from zero. False: it is not blocked here.
  bool Unblock(const Cidr& key);

  // As those of KeyedLimiter, for failures.
  void CountCharges() { counts_.Begin(); }
  ChargesOf<Cidr> Charges(size_t most);
  void Charge(const Cidr& key, uint64_t micros, uint64_t since);

  size_t blocked() const;  // addresses that are blocked now
  size_t watched() const;  // addresses that have an entry

 private:
  Shard& ShardOf(const Cidr& key) const;

  const Clock clock_;
  const Wake wake_;
  OtherNodes* const others_;
  const std::unique_ptr<Shard[]> shards_;
  ChargeCounts counts_;
};

}  // namespace rum
