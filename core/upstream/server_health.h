// The state of servers: circuit breaker (open after repeated failures), result of the last health
// check, and administrative state. Empty, at no cost, while all servers are up.
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

// The circuit of a server opens after this many consecutive failures within this time; 0 failures:
// never.
struct BreakerSettings {
  uint32_t failures = 5;
  Millis within{10000};
};

// The state that an operator has set: new sessions only use `ready` servers; maintenance also ends
// existing sessions.
enum class AdminState : uint8_t { kReady, kDrain, kMaintenance };
inline constexpr std::array<std::string_view, 3> kAdminStateWords = {"ready", "drain", "maint"};

// Why a server must not be tried.
struct Refused {
  uint32_t reason;          // RUM_CLOSE_...: the last failure, or MAINTENANCE
  std::string_view detail;  // the option or command, for the log
};

// "5/10s", "off".
Result<BreakerSettings> ParseBreaker(std::string_view text);

// [any] Servers are identified by address as text.
class ServerHealth {
 public:
  static constexpr size_t kMost = 4096;         // failures of further servers are not counted
  static constexpr size_t kDisabledMost = 256;  // of these, disabled by an operator
  static constexpr uint64_t kFirstPause = 1000, kLongestPause = 30000;  // ms

  // Whether a session has another server. Without one, a pause protects nobody and only delays it:
  // its pauses are kFirstPause.
  enum class Others : uint8_t { kNone, kSome };

  using Clock = uint64_t (*)();  // ms; monotonic
  explicit ServerHealth(Clock clock = NowMillis) : clock_(clock) {}
  ServerHealth(const ServerHealth&) = delete;

  // One attempt to use a server, until its result is known. Without a result it does not count.
  class Attempt {
   public:
    Attempt() = default;
    Attempt(Attempt&& other) noexcept { *this = std::move(other); }
    Attempt& operator=(Attempt&& other) noexcept;
    ~Attempt() { Drop(); }
    void Succeeded();
    // The server accepted the connection, but TLS may still fail. A circuit that TLS opened stays
    // open, and from now on only a TLS failure counts.
    void Answered();
    void Failed(const BreakerSettings& settings, uint32_t reason);  // RUM_CLOSE_...
    void Drop();

   private:
    friend class ServerHealth;
    ServerHealth* server_health_ = nullptr;
    std::string server_;
    Others others_ = Others::kSome;
    bool trial_ = false;  // the single trial of a half-open circuit
    bool answered_ = false;
  };

  // Begins an attempt. Returns a value if the server must not be tried.
  std::optional<Refused> Begin(const BreakerSettings& settings, const std::string& server,
                               Others others, Attempt* attempt);
  // Moves servers that are down, disabled or have an open circuit behind the others; otherwise
  // keeps the order.
  void Sort(std::vector<Address>* servers) const;
  // It is not down, disabled, and has no open circuit.
  bool IsUp(const std::string& server) const;
  // Reports the result of a health check. Success closes the circuit.
  void Probed(const std::string& server, bool up);
  // The server is no longer checked. Its last result is dropped, which does not mean that it is up.
  void Unprobed(const std::string& server);

  // Sets the state of a server. False: too many servers are disabled or remembered.
  bool Set(const std::string& server, AdminState admin);

  // A server with an open circuit, or disabled by an operator.
  struct Unavailable {
    std::string server;
    AdminState admin;
    bool open;              // the circuit is open or, if `milliseconds` is 0, half-open
    uint32_t reason;        // of the last failure; 0: none
    uint64_t milliseconds;  // until half-open
  };
  // At most `most` servers, by name; and the number of each kind.
  std::vector<Unavailable> List(size_t most) const;
  size_t open() const;      // open circuits
  size_t disabled() const;  // disabled by an operator
  // Times a circuit opened.
  uint64_t opened() const { return opened_.load(std::memory_order_relaxed); }
  // Attempts refused by an open circuit.
  uint64_t skipped() const { return skipped_.load(std::memory_order_relaxed); }

 private:
  struct Entry {
    uint32_t failures = 0;  // consecutive
    uint32_t reason = 0;    // of the last failure
    uint64_t first = 0;     // start of the row
    uint64_t pause = 0;     // 0: the circuit is closed
    uint64_t until = 0;     // end of the pause
    bool trial = false;     // half-open: the trial is in progress
    bool down = false;      // result of the last health check
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
  std::atomic<size_t> size_ = 0;  // size of entries_
  std::atomic<uint64_t> opened_ = 0, skipped_ = 0;
  mutable std::mutex mutex_;  // guards the members below
  Entries entries_;
  size_t tidy_at_ = 64;
};

}  // namespace rum
