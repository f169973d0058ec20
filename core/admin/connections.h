// The connections of an evhttp, limited in number and duration: evhttp itself only has a timeout
// for the next byte.
#pragma once

#include <event2/event.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/clock.h"
#include "tls/tls_context.h"

struct bufferevent;
struct evconnlistener;
struct evhttp;
struct evhttp_request;

namespace rum {

// Timeouts for the states of a connection.
struct ConnectionTimes {
  // From the connection or the last answer until a request is complete; includes the TLS handshake.
  Millis request{10000};
  Millis answer{30000};  // to send a whole answer
};

class Connections {
 public:
  static constexpr size_t kMost = 32;

  // [main] The limit of connections for a limit of open files: most descriptors are for clients.
  static size_t MostFor(uint64_t descriptors);

  // [main, and all below] Manages the future connections of `http`, which it must outlive.
  Connections(event_base* base, evhttp* http, size_t most, ConnectionTimes times = {});
  // Call evhttp_free() first.
  ~Connections();
  Connections(const Connections&) = delete;

  // The listener of the connections; nullptr: it no longer listens.
  void SetListener(evconnlistener* listener);

  // Future connections use TLS; nullptr: plain text.
  void SetTls(std::shared_ptr<const TlsContext> tls) { tls_ = std::move(tls); }
  // Whether a request came by TLS, or need not. False if memory was short: evhttp cannot refuse a
  // connection at that point.
  bool IsSafe(evhttp_request* request) const;
  // Whether a request has no complete answer yet.
  bool busy() const;

  // A request has arrived. Until Answered() the connection has no timeout, and further bytes or the
  // end of its client's stream are ignored.
  void Asked(evhttp_request* request);
  // evhttp_send_reply() was called for the request.
  void Answered(evhttp_request* request);

 private:
  enum class State : uint8_t { kReads, kIsAnswered, kWrites };
  struct Connection {
    bufferevent* stream;  // referenced here too: the socket is closed when both references are gone
    uint64_t since;       // start of the state, monotonic ms
    State state;
    std::shared_ptr<const TlsContext> tls;  // that its handshake uses
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
  std::shared_ptr<const TlsContext> tls_;
  evconnlistener* listener_ = nullptr;
  event* look_;
  bool full_ = false;  // the limit is reached; the listener is paused
  std::vector<Connection> all_;
};

}  // namespace rum
