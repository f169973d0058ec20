// The connections of an evhttp, bounded in number and in time: evhttp itself knows only how long it
// waits for the next byte.
#pragma once

#include <event2/event.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/clock.h"

struct bufferevent;
struct evconnlistener;
struct evhttp;
struct evhttp_request;

namespace rum {

// How long a connection may take for what it is at.
struct ConnectionTimes {
  Millis request{10000};  // from the start, or from the last answer, to the end of a request
  Millis answer{30000};   // to take the whole of an answer
};

class Connections {
 public:
  static constexpr size_t kMost = 32;

  // [main] How many there may be at a time where so many files may be open: the rest is for
  // clients.
  static size_t MostFor(uint64_t descriptors);

  // [main] Those of `http` from now on; what follows, too. Lives longer than `http` does.
  Connections(event_base* base, evhttp* http, size_t most, ConnectionTimes times = {});
  // After evhttp_free().
  ~Connections();
  Connections(const Connections&) = delete;

  // The one at which connections arrive. nullptr: none any more.
  void SetListener(evconnlistener* listener);

  // A request has arrived. Until Answered() the connection has all the time in the world, and
  // whether its client goes on sending, or will not, is not looked at.
  void Asked(evhttp_request* request);
  // Its answer is on the way, by evhttp_send_reply().
  void Answered(evhttp_request* request);

 private:
  enum class State : uint8_t { kReads, kIsAnswered, kWrites };
  struct Connection {
    bufferevent* stream;  // ours too: the socket is closed when both have let go
    uint64_t since;       // monotonic ms: when it began to be in its state
    State state;
  };

  static bufferevent* OnNew(event_base* base, void* self);
  static void OnLook(evutil_socket_t, short, void* self);
  static void OnWritten(evhttp_request* request, void* self);
  void DropClosed();
  void EndOldest();
  void LookIn(Millis time);
  Connection* Find(evhttp_request* request);

  const size_t most_;
  const ConnectionTimes times_;
  evconnlistener* listener_ = nullptr;
  event* look_;
  bool full_ = false;  // the listener pauses
  std::vector<Connection> all_;
};

}  // namespace rum
