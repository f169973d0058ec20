#include "admin/connections.h"

#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/http.h>
#include <event2/listener.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#include <algorithm>

namespace rum {
namespace {

constexpr Millis kLook(200);    // while there are connections
constexpr Millis kFullLook(2);  // while others wait to connect
// With 512 open files the share equals the maximum.
constexpr uint64_t kShare = 16;
constexpr size_t kLeast = 4;
// Above the size of a request: evhttp closes a connection before this is reached, and no one
// processes later bytes.
constexpr size_t kUnreadMost = 256 * 1024;

// evhttp clears the callbacks when it frees a connection.
bool Closed(bufferevent* stream) {
  bufferevent_event_cb on_event = nullptr;
  bufferevent_getcb(stream, nullptr, nullptr, &on_event, nullptr);
  return !on_event;
}

// Makes evhttp see the end of the stream or a write error, and free it.
void End(bufferevent* stream) {
  ::shutdown(bufferevent_getfd(stream), SHUT_RDWR);
  bufferevent_enable(stream, EV_READ);
}

// nullptr: no memory.
bufferevent* NewTlsStream(event_base* base, const TlsContext& context) {
  SSL* ssl = SSL_new(context.get());
  if (!ssl) return nullptr;
  SSL_set_read_ahead(ssl, 0);  // libevent would not see what is read ahead
  bufferevent* stream = bufferevent_openssl_socket_new(base, -1, ssl, BUFFEREVENT_SSL_ACCEPTING,
                                                       BEV_OPT_CLOSE_ON_FREE);
  if (stream) bufferevent_openssl_set_allow_dirty_shutdown(stream, 1);
  return stream;
}

}  // namespace

size_t Connections::MostFor(uint64_t descriptors) {
  return std::clamp<uint64_t>(descriptors / kShare, kLeast, kMost);
}

Connections::Connections(event_base* base, evhttp* http, size_t most, ConnectionTimes times)
    : most_(most), times_(times), look_(evtimer_new(base, OnLook, this)) {
  evhttp_set_bevcb(http, OnNew, this);
}

Connections::~Connections() {
  event_free(look_);
  for (const Connection& one : all_) bufferevent_decref(one.stream);
}

void Connections::SetListener(evconnlistener* listener) { listener_ = listener; }

// When the limit is reached, pauses the listener and ends the oldest connection that is not being
// answered: a client that sends its request quickly gets through, however many idle ones there are.
bufferevent* Connections::OnNew(event_base* base, void* self) {
  auto& connections = *static_cast<Connections*>(self);
  bufferevent* stream = connections.tls_ ? NewTlsStream(base, *connections.tls_) : nullptr;
  if (!stream) stream = bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE);
  bufferevent_setwatermark(stream, EV_READ, 0, kUnreadMost);
  bufferevent_incref(stream);
  connections.DropClosed();
  connections.all_.push_back({stream, NowMillis(), State::kReads, connections.tls_});
  connections.full_ = connections.all_.size() >= connections.most_;
  if (connections.full_) {
    if (connections.listener_) evconnlistener_disable(connections.listener_);
    connections.EndOldest();
  }
  connections.LookIn(connections.full_ ? kFullLook : kLook);
  return stream;
}

bool Connections::busy() const {
  return std::any_of(all_.begin(), all_.end(), [](const Connection& one) {
    return one.state != State::kReads && !Closed(one.stream);
  });
}

void Connections::EndOldest() {
  auto oldest = std::find_if(all_.begin(), all_.end() - 1,
                             [](const Connection& one) { return one.state == State::kReads; });
  if (oldest != all_.end() - 1) End(oldest->stream);
}

void Connections::DropClosed() {
  std::erase_if(all_, [](const Connection& one) {
    bool closed = Closed(one.stream);
    if (closed) bufferevent_decref(one.stream);
    return closed;
  });
}

void Connections::OnLook(evutil_socket_t, short, void* self) {
  auto& connections = *static_cast<Connections*>(self);
  connections.DropClosed();
  const uint64_t now = NowMillis();
  for (const Connection& one : connections.all_) {
    const Millis most =
        one.state == State::kReads ? connections.times_.request : connections.times_.answer;
    if (one.state != State::kIsAnswered && now - one.since >= static_cast<uint64_t>(most.count())) {
      End(one.stream);
    }
  }
  if (connections.full_ && connections.all_.size() < connections.most_) {
    connections.full_ = false;
    if (connections.listener_) evconnlistener_enable(connections.listener_);
  } else if (connections.full_) {
    connections.EndOldest();
  }
  if (!connections.all_.empty()) connections.LookIn(connections.full_ ? kFullLook : kLook);
}

void Connections::LookIn(Millis time) {
  timeval wait = TimevalOf(time);
  event_add(look_, &wait);
}

Connections::Connection* Connections::Find(evhttp_request* request) {
  bufferevent* stream = evhttp_connection_get_bufferevent(evhttp_request_get_connection(request));
  auto found = std::find_if(all_.begin(), all_.end(),
                            [&](const Connection& one) { return one.stream == stream; });
  return found == all_.end() ? nullptr : &*found;
}

bool Connections::IsSafe(evhttp_request* request) const {
  return !tls_ || bufferevent_openssl_get_ssl(
                      evhttp_connection_get_bufferevent(evhttp_request_get_connection(request)));
}

// Stops reading: evhttp would treat the end of the client's stream as a disconnected client.
void Connections::Asked(evhttp_request* request) {
  Connection* one = Find(request);
  if (!one) return;
  one->state = State::kIsAnswered;
  bufferevent_disable(one->stream, EV_READ);
}

void Connections::Answered(evhttp_request* request) {
  Connection* one = Find(request);
  if (!one) return;
  one->state = State::kWrites;
  one->since = NowMillis();
  bufferevent_disable(one->stream, EV_READ);  // evhttp resumes reading after the answer is sent
  evhttp_request_set_on_complete_cb(request, OnWritten, this);
}

void Connections::OnWritten(evhttp_request* request, void* self) {
  auto& connections = *static_cast<Connections*>(self);
  Connection* one = connections.Find(request);
  if (!one) return;
  one->state = State::kReads;
  one->since = NowMillis();
  // Most connections end now; check at once, to free the descriptor.
  evhttp_connection_set_closecb(
      evhttp_request_get_connection(request),
      [](evhttp_connection*, void* look) { event_active(static_cast<event*>(look), 0, 0); },
      connections.look_);
}

}  // namespace rum
