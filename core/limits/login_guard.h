// Stops the guessing of passwords: an address from which too many logins failed is blocked for a
// while. A proof of a password that is under way counts as one that fails. Bounded, whatever
// addresses come.
#pragma once

#include <cstdint>
#include <list>
#include <memory>

#include "base/cidr.h"
#include "base/rate.h"

namespace rum {

// [any] All of it. An address is one of IPv4, or a network of IPv6 of `ip_prefix` bits. Clients of
// unix sockets have none and are never blocked.
class LoginGuard {
  struct Entry;
  struct Shard;

 public:
  static constexpr size_t kShards = 64;
  static constexpr size_t kAddressesMost = 1024;  // of a shard; then the oldest go

  // What the operator wants; the same for all calls, until a reload.
  struct Settings {
    Rate failures;  // off: nobody is ever blocked
    Millis block{60000};
    CidrSet exempt;
    uint32_t ip_prefix = 64;  // what one customer has; with another one counts begin anew
  };
  using Clock = uint64_t (*)();  // microseconds; never goes back
  // Called on any thread, without a lock, when an attempt that waited may ask again.
  using Wake = void (*)(uint64_t ticket);

  // One proof of a password, from before it is judged until the verdict is there. Of one session,
  // whose thread alone uses it. The guard must outlive it.
  class Attempt {
   public:
    Attempt() = default;
    Attempt(const Attempt&) = delete;
    Attempt& operator=(const Attempt&) = delete;
    ~Attempt() { Release(); }
    // It has succeeded, or was never judged: the address does not pay for it.
    void Release();
    bool under_way() const;

   private:
    friend class LoginGuard;
    enum class State : uint8_t { kNone, kWaiting, kUnderWay };
    LoginGuard* guard_ = nullptr;
    Shard* shard_ = nullptr;  // nullptr: never tried. The rest is guarded by its mutex
    Entry* entry_ = nullptr;  // of any state but kNone
    Cidr key_;                // of the entry; only its own thread uses it
    State state_ = State::kNone;
    uint64_t ticket_ = 0;
    std::list<Attempt*>::iterator turn_;  // only in kWaiting
  };

  enum class Answer : uint8_t {
    kGo,       // the attempt is under way
    kWait,     // as many are under way as may fail: Wake is called with the ticket, once
    kBlocked,  // the address is blocked
  };

  explicit LoginGuard(Clock clock = NowMicros, Wake wake = nullptr);
  ~LoginGuard();
  LoginGuard(const LoginGuard&) = delete;

  bool Blocks(const Settings& settings, const SocketAddress& address) const;
  // To be asked before a proof is judged or passed on. Of one address no more are under way than
  // may fail before it is blocked; others wait, the first first. May be asked again at any time.
  Answer Try(const Settings& settings, const SocketAddress& address, uint64_t ticket,
             Attempt* attempt);
  // Counts one failed login, of the attempt if one is under way. True: the address is blocked from
  // here on.
  bool Failed(const Settings& settings, const SocketAddress& address, Attempt* attempt = nullptr);

  size_t blocked() const;  // addresses that are blocked now
  size_t watched() const;  // all that are remembered

 private:
  Shard& ShardOf(const Cidr& key) const;

  const Clock clock_;
  const Wake wake_;
  const std::unique_ptr<Shard[]> shards_;
};

}  // namespace rum
