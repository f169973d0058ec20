// Checks a few times a second whether each worker has left its hook. A stuck worker gets no new
// clients, its listeners move to other workers, and the log names the hook.
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
  // A call seen this often is stuck: for 600 to 800 ms. Checks are counted instead of time, since a
  // suspended machine or a stopped process stops both threads.
  static constexpr unsigned kStuckLooks = 4;
  // A worker that recovers is trusted again after as many checks.
  static constexpr unsigned kCalmLooks = 4;

  // [main] Like all below.
  explicit HookWatch(Proxy& proxy) : proxy_(proxy) {}
  ~HookWatch();
  HookWatch(const HookWatch&) = delete;

  // Starts checking.
  void Start(event_base* base);
  // One check; true: a worker has become stuck or has recovered.
  bool Look(uint64_t now);

  size_t stuck() const { return stuck_; }
  uint64_t stalls() const { return stalls_; }
  // Why no client can be served: all workers are stuck. Otherwise empty.
  std::string WhyNotReady() const;
  // Whether every worker with connections is stuck, and has been for this long.
  bool OnlyStuckLeft(Millis at_least) const;
  // Names the hooks that workers are in, for a process that cannot end by itself.
  std::string Describe() const;

 private:
  struct State {
    HookPlace::Seen seen;
    uint64_t since = 0;   // ms: when the call was first seen
    unsigned looks = 0;   // checks that saw this call
    unsigned calm = 0;    // consecutive checks that saw no call twice
    bool stuck = false;   // gets no new clients
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
