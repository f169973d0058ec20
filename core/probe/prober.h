// Asks every destination in use, by the module's own words, whether it is well: at once when it is
// new, then every --health-check. Remembers the last answer of each. All of it on the main thread.
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

// What is known of one destination.
struct DestinationHealth {
  enum class State : uint8_t {
    kUnknown,  // no probe has ended yet
    kUp,       // the last probe ended with RUM_CLOSE_PROBED
    kDown,     // it ended with `reason`
  };
  Address address;
  bool is_default = false;
  State state = State::kUnknown;
  uint32_t reason = 0;
  std::string text;   // the module's words
  int64_t since = 0;  // of the state, seconds since 1970; 0: unknown
  uint64_t micros = 0;
  std::vector<std::pair<std::string, std::string>> notes;
};

class Prober {
 public:
  static constexpr size_t kDestinationsMost = 4096;
  static constexpr size_t kAtOnce = 32;         // of the whole process
  static constexpr size_t kNotUpAtOnce = 16;    // of these, not known to be well
  static constexpr Millis kDownInterval{3000};  // one that is unwell is asked this often at least

  // [main] An interval of zero: nothing is ever probed.
  Prober(event_base* base, Proxy& proxy, Millis interval);
  ~Prober();
  Prober(const Prober&) = delete;
  Prober& operator=(const Prober&) = delete;

  // [main] Once, when the workers run. `first_round` is called when each destination that is known
  // now has been probed once; perhaps before this returns, and never if Stop() comes before.
  void Start(std::function<void()> first_round);
  // [main] No further probe begins.
  void Stop();

  // [main] The addresses in the map in use; those of -d are in use as well. What is no longer named
  // is forgotten, what is new is probed at once.
  void SetMapDestinations(std::vector<std::string> texts);
  // [main] The settings have changed: the same for those of -d.
  void Follow();

  // [main] By address as it is written.
  const std::map<std::string, DestinationHealth>& destinations() const { return destinations_; }
  uint64_t failures() const { return failures_; }  // probes that ended otherwise than well
  bool on() const;

 private:
  using Known = std::map<std::string, DestinationHealth>;

  // In the order of their time: monotonic ms, and the key.
  using Queue = std::set<std::pair<uint64_t, std::string>>;

  void Add(const Address& address, bool is_default, Known* before);
  void Begin();
  // The one from which the next probe is taken; nullptr: nothing is due, or no place is left.
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
  std::set<std::string> first_;  // not probed yet, of those known at the start
  std::vector<std::string> map_destinations_;
  Known destinations_;
  // Apart, so that those that never answer do not take the places of those that do.
  Queue up_;                                       // their last probe was
  Queue not_up_;                                   // all others
  std::map<std::string, const Queue*> under_way_;  // and where they were taken from
  size_t not_up_under_way_ = 0;
  uint64_t failures_ = 0;
};

}  // namespace rum
