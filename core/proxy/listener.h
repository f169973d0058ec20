// Binds an address, accepts clients in batches and hands each to the worker that has the fewest.
#pragma once

#include <memory>
#include <string>

#include "base/address.h"
#include "base/fd.h"
#include "base/result.h"
#include "net/inherited_sockets.h"
#include "net/loop.h"

namespace rum {

class Proxy;
class Worker;

class Listener final : private Loop::Watcher {
 public:
  Listener(Proxy& proxy, const Address& address, ListeningSocket socket);
  ~Listener();
  Listener(const Listener&) = delete;

  // [main, before the worker runs, or worker] Accepts on this worker's loop from now on.
  void Attach(Worker& worker);
  // [worker, the one it is attached to; main if there is none] No more clients: the socket is
  // closed, a unix socket's file is removed unless another process listens on it from now on.
  void Close(bool handed_over = false);

  // [main, while it is open] For another process that is to listen as well.
  SharedSocket ForHandover() const { return {fd_.get(), keep_file_, asked_}; }
  // Whether the file of a unix socket is this process's to remove.
  bool owns_file() const { return address_.kind == Address::Kind::kUnix && !keep_file_; }
  const Address& address() const { return address_; }
  const Address& asked() const { return asked_; }    // as the options have it
  const std::string& text() const { return text_; }  // with the real port if port 0 was asked for

 private:
  void OnReady(uint32_t, uint32_t) override { Accept(); }
  static void OnRested(void* self);
  void Watch();
  void Accept();
  void Rest(int error);
  void Refuse();

  Proxy& proxy_;
  const Address asked_;
  Address address_;
  std::string text_;
  Fd fd_;
  const bool keep_file_;
  const SocketFile file_;
  Fd reserve_;  // given up for a moment when descriptors run out, to tell a client so
  Worker* worker_ = nullptr;
  Loop::Ticket ticket_ = 0;              // 0: it rests, or is not attached
  std::unique_ptr<Loop::Timer> rested_;  // from Attach() to Close()
  int single_ = 0;                       // turns to come in which only one client is accepted
  uint64_t failure_logged_ = 0;          // monotonic ms of the last log line about a failing accept
};

}  // namespace rum
