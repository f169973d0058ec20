// Looks a few times a second whether a worker has left the hook that it was in. One that is stuck
// gets no client, its listeners move to other workers, and the log says which hook does not return.
#pragma once

#include <event2/event.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/clock.h"
#include "module/hook.h"

namespace rum {

class Proxy;
class Worker;

class HookWatch {
 public:
  static constexpr Millis kLook{200};
  // A call that was seen this often is stuck: for 600 to 800 ms. Counted are looks and not time,
  // since a machine that sleeps, or a process that is stopped, stops both threads.
  static constexpr unsigned kStuckLooks = 4;
  // A worker that gets on again is trusted after as many looks.
  static constexpr unsigned kCalmLooks = 4;

  // [main] What follows, too.
  explicit HookWatch(Proxy& proxy) : proxy_(proxy) {}
  ~HookWatch();
  HookWatch(const HookWatch&) = delete;

  // Looks from now on.
  void Start(event_base* base);
  // One look; true: a worker is stuck that was not, or the other way round.
  bool Look(uint64_t now);

  size_t stuck() const { return stuck_; }
  uint64_t stalls() const { return stalls_; }
  // Why no client can be served: all workers are stuck. Else empty.
  std::string WhyNotReady() const;
  // Every worker that has a connection left is stuck, and has been for so long.
  bool OnlyStuckLeft(Millis at_least) const;
  // What the workers that are in a hook now are in; for a process that cannot end by itself.
  std::string Describe() const;

 private:
  struct State {
    HookPlace::Seen seen;
    uint64_t since = 0;   // ms: when the call was first seen
    unsigned looks = 0;   // that saw this call
    unsigned calm = 0;    // looks in a row that saw no call for the second time
    bool stuck = false;   // it gets no clients
    bool logged = false;  // this call is in the log
  };

  static void OnLook(evutil_socket_t, short, void* self);
  void SeeAgain(Worker& worker, State& state, uint64_t now);
  void SeeOther(Worker& worker, State& state, HookPlace::Seen seen, uint64_t now);

  Proxy& proxy_;
  event* event_ = nullptr;
  std::vector<State> states_;  // by worker
  size_t stuck_ = 0;
  uint64_t stalls_ = 0;
};

}  // namespace rum
