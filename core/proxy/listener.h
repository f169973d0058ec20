// Binds an address and lets one worker at a time accept its clients. The main thread closes it,
// whatever the workers do.
#pragma once

#include <sys/socket.h>

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/fd.h"
#include "base/result.h"
#include "net/inherited_sockets.h"

namespace rum {

class Acceptor;
class Proxy;
class Worker;

class Listener final {
 public:
  Listener(Proxy& proxy, const Address& address, ListeningSocket socket);
  // Only after the workers that accepted have ended.
  ~Listener();
  Listener(const Listener&) = delete;

  // [main] This worker accepts from now on, in place of the one before.
  void AcceptOn(Worker& worker);
  // [main] The one that accepts; nullptr: none yet.
  Worker* worker() const;
  // [main] No more clients: the socket is closed when it returns, a unix socket's file is removed
  // unless another process listens on it from now on.
  void Close(bool handed_over = false);

  // [any] accept4(2). With EAGAIN, too, when it is closed.
  Fd AcceptClient(sockaddr_storage* peer, socklen_t* size);
  // [any] Calls `use` with the socket, which stays open meanwhile; not when it is closed.
  template <class Use>
  void WithSocket(Use use) {
    std::lock_guard lock(mutex_);
    if (fd_) use(fd_.get());
  }

  // [main, while it is open] For another process that is to listen as well.
  SharedSocket ForHandover() const { return {fd_.get(), keep_file_, asked_}; }
  // Whether the file of a unix socket is this process's to remove.
  bool owns_file() const { return address_.kind == Address::Kind::kUnix && !keep_file_; }
  const Address& address() const { return address_; }
  const Address& asked() const { return asked_; }    // as the options have it
  const std::string& text() const { return text_; }  // with the real port if port 0 was asked for

 private:
  Proxy& proxy_;
  const Address asked_;
  Address address_;
  std::string text_;
  // Guards fd_, which the main thread closes while a worker may be about to accept: its number
  // would be another file's. A worker that takes a client takes the lock alone.
  std::mutex mutex_;
  Fd fd_;
  const bool keep_file_;
  const SocketFile file_;
  std::vector<std::unique_ptr<Acceptor>> acceptors_;  // of each worker that had its turn
  Acceptor* acceptor_ = nullptr;                      // whose turn it is
};

}  // namespace rum
