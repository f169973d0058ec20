// The state of servers: whose circuit is open after repeated failures (the circuit breaker), which
// the last health check found down, and which an operator has taken out of use. Empty, and free,
// while all are up.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/address.h"
#include "base/clock.h"

namespace rum {

// When the circuit of a server opens: after so many failures in a row within a time; 0 failures:
// never.
struct BreakerSettings {
  uint32_t failures = 5;
  Millis within{10000};
};

// What an operator has set for a server: no new session goes to one that is not `ready`; those of
// one in maintenance have been ended.
enum class AdminState : uint8_t { kReady, kDrain, kMaintenance };
inline constexpr std::array<std::string_view, 3> kAdminStateWords = {"ready", "drain", "maint"};

// Why a server is not tried.
struct Refused {
  uint32_t reason;          // RUM_CLOSE_...: of its last failure, or MAINTENANCE
  std::string_view detail;  // the option or command, for the log
};

// "5/10s", "off".
Result<BreakerSettings> ParseBreaker(std::string_view text);

// [any] All of it. Servers are identified by their addresses as text.
class ServerHealth {
 public:
  static constexpr size_t kMost = 4096;  // servers remembered; failures of others are not counted
  static constexpr size_t kDisabledMost = 256;                          // of these by an operator
  static constexpr uint64_t kFirstPause = 1000, kLongestPause = 30000;  // ms

  using Clock = uint64_t (*)();  // ms; never goes back
  explicit ServerHealth(Clock clock = NowMillis) : clock_(clock) {}
  ServerHealth(const ServerHealth&) = delete;

  // One attempt to use a server, until it is known what came of it. One that ends without a verdict
  // counts for nothing.
  class Attempt {
   public:
    Attempt() = default;
    Attempt(Attempt&& other) noexcept { *this = std::move(other); }
    Attempt& operator=(Attempt&& other) noexcept;
    ~Attempt() { Drop(); }
    void Succeeded();
    // The server has answered, but TLS may still fail: this does not close a circuit that TLS
    // opened, and TLS is the only failure that counts from now on.
    void Answered();
    void Failed(const BreakerSettings& settings, uint32_t reason);  // RUM_CLOSE_...
    void Drop();

   private:
    friend class ServerHealth;
    ServerHealth* server_health_ = nullptr;
    std::string server_;
    bool trial_ = false;  // the one attempt that a half-open circuit lets through
    bool answered_ = false;
  };

  // Begins an attempt. A value: the server must not be tried.
  std::optional<Refused> Begin(const BreakerSettings& settings, const std::string& server,
                               Attempt* attempt);
  // Moves servers that are down, disabled or have an open circuit behind the others; else the order
  // stays.
  void Sort(std::vector<Address>* servers) const;
  // The result of a health check. One that found the server up closes its circuit.
  void Probed(const std::string& server, bool up);
  // The server is no longer checked. What was wrong with it is forgotten; it is not known to be up.
  void Unprobed(const std::string& server);

  // What an operator wants. False: so many are disabled, or remembered, already.
  bool Set(const std::string& server, AdminState admin);

  // One server whose circuit is open, or that an operator has disabled.
  struct Unavailable {
    std::string server;
    AdminState admin;
    bool open;              // its circuit is open or, when `milliseconds` is 0, half-open
    uint32_t reason;        // of the last failure; 0: it has not failed
    uint64_t milliseconds;  // until the circuit is half-open
  };
  // At most `most` of them, by name; and how many there are of each kind.
  std::vector<Unavailable> List(size_t most) const;
  size_t open() const;                                                           // circuits
  size_t disabled() const;                                                       // by an operator
  uint64_t opened() const { return opened_.load(std::memory_order_relaxed); }    // times
  uint64_t skipped() const { return skipped_.load(std::memory_order_relaxed); }  // attempts

 private:
  struct Entry {
    uint32_t failures = 0;  // in a row
    uint32_t reason = 0;    // of the last one
    uint64_t first = 0;     // when the row began
    uint64_t pause = 0;     // 0: the circuit is closed
    uint64_t until = 0;     // the end of the pause
    bool trial = false;     // half-open: the one attempt is under way
    bool down = false;      // as the last health check found
    AdminState admin = AdminState::kReady;
  };
  using Entries = std::map<std::string, Entry, std::less<>>;

  bool none() const { return size_.load(std::memory_order_relaxed) == 0; }
  Entry* Find(const std::string& server);
  Entry* FindOrAdd(const std::string& server);
  void Tidy();
  void Close(const std::string& server, Entry& entry);
  void ForgetIfUp(const std::string& server, const Entry& entry);
  template <class Is>
  size_t Count(Is is) const;

  const Clock clock_;
  std::atomic<size_t> size_ = 0;  // of entries_
  std::atomic<uint64_t> opened_ = 0, skipped_ = 0;
  mutable std::mutex mutex_;  // guards what follows
  Entries entries_;
  size_t tidy_at_ = 64;
};

}  // namespace rum
