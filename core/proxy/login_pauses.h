// Holds new logins of a user or for a server while an operator moves it: `rumctl pause` and
// `resume`. Bounded in number and in time.
#pragma once

#include <event2/event.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace rum {

class LoginPauses {
  struct Pause;

 public:
  static constexpr size_t kHeldMost = 1000;  // logins, of all pauses
  static constexpr size_t kMost = 100;       // pauses
  static constexpr Millis kDefault{30000}, kLongest{600000};

  enum class Kind : uint8_t { kUser, kServer };

  // One login that is held. The pauses must outlive it.
  class Place {
   public:
    Place() = default;
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;
    ~Place() { Leave(); }
    void Leave();

   private:
    friend class LoginPauses;
    LoginPauses* pauses_ = nullptr;
    Pause* pause_ = nullptr;  // guarded by the mutex of pauses_; nullptr: it has ended
    std::list<Place*>::iterator place_;
    uint64_t ticket_ = 0;
  };

  // Called on any thread, without a lock held, when the login with this ticket may try again.
  using Wake = void (*)(uint64_t ticket);

  // [main] `ending` is called when a pause is over, before its logins go on.
  LoginPauses(event_base* base, Wake wake, std::function<void()> ending = {});
  ~LoginPauses();
  LoginPauses(const LoginPauses&) = delete;

  // [main] Begins a pause, or changes the time until it ends by itself.
  Status Begin(Kind kind, const std::string& name, Millis time);
  // [main] Ends it, and lets its logins go on: their number. nullopt: there is no such pause.
  std::optional<size_t> End(Kind kind, const std::string& name);

  struct Entry {
    Kind kind;
    std::string name;
    size_t held;
    uint64_t milliseconds;  // until it ends by itself
  };
  std::vector<Entry> List() const;  // [any]
  size_t held() const;              // [any]

  // [any] What a login is about to use. `servers`: an address list as in the map.
  struct Login {
    std::string_view user, key, servers;
  };
  enum class Answer : uint8_t { kGo, kHeld, kFull };
  bool none() const { return size_.load(std::memory_order_relaxed) == 0; }
  // kHeld: `place` is taken, and Wake will be called with the ticket, once.
  Answer Hold(const Login& login, uint64_t ticket, Place* place);

 private:
  struct Pause {
    Kind kind;
    std::string name;
    uint64_t until;  // monotonic ms
    std::list<Place*> held;
  };
  using Pauses = std::list<Pause>;

  static void OnTime(evutil_socket_t, short, void* self);
  Pauses::iterator Find(Kind kind, std::string_view name);
  std::vector<uint64_t> Remove(Pauses::iterator pause);
  void Schedule();

  const Wake wake_;
  const std::function<void()> ending_;
  event* event_ = nullptr;
  std::atomic<size_t> size_ = 0;  // of pauses_
  mutable std::mutex mutex_;      // guards the members below
  Pauses pauses_;
  size_t held_ = 0;
};

// "user alice", "server tcp:db1:3306"
std::string Describe(LoginPauses::Kind kind, const std::string& name);

}  // namespace rum
