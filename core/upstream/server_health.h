// What is wrong with servers: which of them failed again and again and are left alone for a while
// (the breaker), which the last probe found unwell, and which an operator has taken out. Empty
// while all is well, and free then.
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

// When a server is left alone: after so many failures in a row within a time; 0 failures: never.
struct BreakerSettings {
  uint32_t failures = 5;
  Millis within{10000};
};

// What an operator has said of a server: no new session goes to one that is not `ready`; those of
// one in maintenance have been ended.
enum class AdminState : uint8_t { kReady, kDrain, kMaintenance };
inline constexpr std::array<std::string_view, 3> kAdminStateWords = {"ready", "drain", "maint"};

// Why a server is left alone.
struct Refused {
  uint32_t reason;          // RUM_CLOSE_...: of its last failure, or MAINTENANCE
  std::string_view detail;  // who says so, for the log
};

// "5/10s", "off".
Result<BreakerSettings> ParseBreaker(std::string_view text);

// [any] All of it. Servers are known by their addresses as text.
class ServerHealth {
 public:
  static constexpr size_t kMost = 4096;  // servers remembered; what fails beyond is not counted
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
    // It has said something, but TLS may still fail: what failed by TLS before is not well by this,
    // and TLS is the only failure that counts from now on.
    void Answered();
    void Failed(const BreakerSettings& settings, uint32_t reason);  // RUM_CLOSE_...
    void Drop();

   private:
    friend class ServerHealth;
    ServerHealth* server_health_ = nullptr;
    std::string server_;
    bool trial_ = false;  // the one that is let through when the pause is over
    bool answered_ = false;
  };

  // Begins an attempt. An answer: the server is left alone.
  std::optional<Refused> Begin(const BreakerSettings& settings, const std::string& server,
                               Attempt* attempt);
  // Puts those that are left alone or unwell behind the others; else the order stays.
  void Sort(std::vector<Address>* servers) const;
  // What a probe has found. One that is well is not left alone any longer.
  void Probed(const std::string& server, bool up);
  // Nobody asks it any more. What is wrong with it is forgotten, which does not mean that it is
  // well.
  void Unprobed(const std::string& server);

  // What an operator wants. False: so many are held, or remembered, already.
  bool Set(const std::string& server, AdminState admin);

  // One server that is left alone.
  struct Unavailable {
    std::string server;
    AdminState admin;       // kReady: it is the breaker
    uint32_t reason;        // of the last failure; 0: it has not failed
    uint64_t milliseconds;  // until the breaker lets it be tried again
  };
  // At most `most` of them, by name; and how many there are of each kind.
  std::vector<Unavailable> List(size_t most) const;
  size_t open() const;                                                           // by the breaker
  size_t disabled() const;                                                       // by an operator
  uint64_t opened() const { return opened_.load(std::memory_order_relaxed); }    // times
  uint64_t skipped() const { return skipped_.load(std::memory_order_relaxed); }  // attempts

 private:
  struct Entry {
    uint32_t failures = 0;  // in a row
    uint32_t reason = 0;    // of the last one
    uint64_t first = 0;     // when the row began
    uint64_t pause = 0;     // 0: it is used
    uint64_t until = 0;     // the end of the pause
    bool trial = false;     // the attempt that follows the pause is out
    bool down = false;      // as the last probe found
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
