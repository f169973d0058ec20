// Checks the health of every destination in use, in the module's protocol: new ones at once, then
// every --health-check. Keeps the last result of each. [main]
#pragma once

#include <event2/event.h>

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/address.h"
#include "base/clock.h"
#include "base/main_queue.h"
#include "proxy/probe.h"

namespace rum {

class Proxy;

// The health of one destination.
struct DestinationHealth {
  enum class State : uint8_t {
    kUnknown,  // no check has ended yet
    kUp,       // the last check ended with RUM_CLOSE_PROBED
    kDown,     // the last check ended with `reason`
  };
  Address address;
  bool is_default = false;
  State state = State::kUnknown;
  uint32_t reason = 0;
  std::string text;   // the module's message
  int64_t since = 0;  // start of the state, seconds since 1970; 0: unknown
  uint64_t micros = 0;
  std::vector<std::pair<std::string, std::string>> notes;
};

class Prober {
 public:
  static constexpr size_t kDestinationsMost = 4096;
  static constexpr size_t kAtOnce = 32;         // concurrent checks of the process
  static constexpr size_t kNotUpAtOnce = 16;    // of these, checks of servers not known to be up
  static constexpr Millis kDownInterval{3000};  // longest interval for servers that are down

  // [main] Zero interval: no checks.
  Prober(event_base* base, Proxy& proxy, Millis interval);
  ~Prober();
  Prober(const Prober&) = delete;
  Prober& operator=(const Prober&) = delete;

  // [main] Call once, when the workers run. Calls `first_round` after each destination known now
  // was checked once; possibly before this returns; not if Stop() is called first.
  void Start(std::function<void()> first_round);
  // [main] Starts no further checks.
  void Stop();

  // [main] Sets the addresses of the current map; those of -d are always in use. Forgets addresses
  // that are no longer used and checks new ones at once.
  void SetMapDestinations(std::vector<std::string> texts);
  // [main] Applies new settings: the addresses of -d.
  void Follow();

  // [main] Keyed by address as text.
  const std::map<std::string, DestinationHealth>& destinations() const { return destinations_; }
  uint64_t failures() const { return failures_; }  // checks that found a server down
  bool on() const;

 private:
  using Known = std::map<std::string, DestinationHealth>;

  // Ordered by due time (monotonic ms), then key.
  using Queue = std::set<std::pair<uint64_t, std::string>>;

  void Add(const Address& address, bool is_default, Known* before);
  void Begin();
  // The queue to take the next check from; nullptr: none is due, or the limit is reached.
  Queue* NextQueue();
  void Take(const std::string& key, ProbeOutcome outcome);
  void Schedule();
  static void OnDue(evutil_socket_t, short, void* self);

  Proxy& proxy_;
  const Millis interval_;
  MainQueue& queue_;
  event* due_event_ = nullptr;
  bool running_ = false;
  std::function<void()> first_round_;
  std::set<std::string> first_;  // destinations known at the start that were not checked yet
  std::vector<std::string> map_destinations_;
  Known destinations_;
  // Separate queues, so that servers that never respond cannot delay the checks of others.
  Queue up_;      // the last check found them up
  Queue not_up_;  // all others
  // In progress, and the queue they were taken from.
  std::map<std::string, const Queue*> under_way_;
  size_t not_up_under_way_ = 0;
  uint64_t failures_ = 0;
};

}  // namespace rum
