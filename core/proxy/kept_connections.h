// Connections to servers that a worker keeps between two sessions, each under a key and with a
// value of the module's. Whatever a server says or does meanwhile ends its connection.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/address.h"
#include "limits/user_limits.h"
#include "net/loop.h"
#include "net/side.h"

namespace rum {

class Worker;

// [any] How many all workers keep: exactly, by server and in all.
class KeptBudget {
 public:
  static constexpr uint32_t kMost = 4096;  // in all, and never more than a share of descriptors

  // One connection; released on destruction.
  class Lease {
   public:
    Lease() = default;
    Lease(Lease&& other) noexcept
        : budget_(std::exchange(other.budget_, nullptr)), server_(std::move(other.server_)) {}
    Lease& operator=(Lease&& other) noexcept {
      std::swap(budget_, other.budget_);
      std::swap(server_, other.server_);
      return *this;
    }
    ~Lease() {
      if (budget_) budget_->all_.fetch_sub(1, std::memory_order_relaxed);
    }
    explicit operator bool() const { return budget_ != nullptr; }

   private:
    friend class KeptBudget;
    KeptBudget* budget_ = nullptr;
    NamedLimiter::Lease server_;
  };

  // Holds nothing if `most` of this server are kept already, or too many in all.
  Lease Take(std::string_view server, uint32_t most);
  void set_most(uint64_t descriptors) {
    most_.store(static_cast<uint32_t>(std::min<uint64_t>(kMost, descriptors)),
                std::memory_order_relaxed);
  }
  uint32_t all() const { return all_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint32_t> most_ = kMost, all_ = 0;
  NamedLimiter by_server_;
};

// [worker], all of it.
class KeptConnections {
 public:
  explicit KeptConnections(Worker& worker);
  KeptConnections(const KeptConnections&) = delete;

  struct Label {
    std::string server;  // as the operator writes it
    std::string key;
    std::string value;
    SocketAddress address;      // no IP address: a unix socket
    std::string user;           // who has logged in there
    uint64_t sequence = 0;      // of the map's last change when it was connected
    uint64_t milliseconds = 0;  // then it is closed
  };
  // Takes the connection of `side`. False: it is not one to keep, and stays where it is.
  bool Keep(Side& side, Label label, KeptBudget::Lease lease);
  // Gives the newest one of this server and key to `side`, and its label. False: there is none.
  bool Take(std::string_view server, std::string_view key, Side& side, Loop::Watcher& watcher,
            uint32_t which, Label* label);
  // Closes the newest one that Take() would give. False: there is none.
  bool Spend(std::string_view server, std::string_view key);

  // Closes those of a server; all; the one that was kept first, false if there is none.
  void Drop(std::string_view server);
  void DropAll();
  bool DropOldest();
  bool DropOldestOf(std::string_view server);
  // The connections that there are, kept or used, are not to be kept any more: settings, the map,
  // or certificates have changed. A session remembers the generation that it connected in.
  void NextGeneration();
  // Likewise those of a user whose record has changed since.
  bool UserHasChanged(uint64_t sequence, const std::string& user) const;
  uint64_t generation() const { return generation_; }

 private:
  struct Kept final : Loop::Watcher {
    explicit Kept(KeptConnections& owner) : owner(owner) {}
    void OnReady(uint32_t, uint32_t what) override;
    KeptConnections& owner;
    Side side;
    Label label;
    KeptBudget::Lease lease;
    std::list<std::unique_ptr<Kept>>::iterator place;
    uint64_t until = 0;  // monotonic ms
  };
  using Ages = std::list<std::unique_ptr<Kept>>;

  static std::string NameOf(std::string_view server, std::string_view key);
  std::unique_ptr<Kept> Remove(Kept& kept);
  Kept* Newest(std::string_view server, std::string_view key);
  bool MayBeUsed(const Kept& kept);
  static void OnLook(void* self);

  Worker& worker_;
  uint64_t generation_ = 0;
  Ages ages_;                                                    // the newest one is last
  std::unordered_map<std::string, std::vector<Kept*>> by_name_;  // the same in each
  Loop::Timer look_;
};

}  // namespace rum
