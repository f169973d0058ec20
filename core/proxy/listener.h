// Binds an address, accepts clients in batches and hands each to the worker that has the fewest.
#pragma once

#include <event2/event.h>
#include <sys/stat.h>

#include <memory>
#include <string>

#include "base/address.h"
#include "base/fd.h"
#include "base/result.h"

namespace rum {

class Proxy;
class Worker;

// A bound, listening, non-blocking socket. A name is resolved here, which may block. A unix
// socket's file left by a dead process is replaced; one that somebody answers on is not.
Result<Fd> OpenListeningSocket(const Address& address, mode_t socket_mode);

class Listener {
 public:
  Listener(Proxy& proxy, const Address& address, Fd fd);
  ~Listener();
  Listener(const Listener&) = delete;

  // [main, before the worker runs, or worker] Accepts on this worker's loop from now on.
  void Attach(Worker& worker);
  // [worker, the one it is attached to] No more clients: the socket is closed, a unix socket's file
  // is removed.
  void Close();

  const Address& address() const { return address_; }
  const std::string& text() const { return text_; }  // with the real port if port 0 was asked for

 private:
  static void OnReadable(evutil_socket_t, short, void* self);
  static void OnRested(evutil_socket_t, short, void* self);
  void Accept();
  void Rest(int error);
  void TurnAway();

  Proxy& proxy_;
  Address address_;
  std::string text_;
  Fd fd_;
  Fd reserve_;  // given up for a moment when descriptors run out, to tell a client so
  Worker* worker_ = nullptr;
  event* readable_ = nullptr;
  event* rested_ = nullptr;
  int single_ = 0;     // turns to come in which only one client is accepted
  uint64_t told_ = 0;  // monotonic ms of the last log line about a failing accept
};

}  // namespace rum
