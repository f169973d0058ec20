// Ends sessions at a server that the map does not name for their user any more (--map-moved), on
// all workers.
#pragma once

#include <event2/event.h>

#include <cstdint>

namespace rum {

class Proxy;

class MovedSessions {
 public:
  static constexpr uint64_t kIdle = 1000;  // ms without a byte: the session is idle

  // [main], as all below.
  MovedSessions(Proxy& proxy, event_base* base);
  ~MovedSessions();
  MovedSessions(const MovedSessions&) = delete;

  // The workers have a new map.
  void OnMap();

 private:
  static void OnTime(evutil_socket_t, short, void* self);
  void Look();
  void LookSoon(uint64_t milliseconds);

  Proxy& proxy_;
  event* event_ = nullptr;
  bool looking_ = false;  // the workers list sessions for it
  bool again_ = false;    // the map has changed since
};

}  // namespace rum
