// Binds an address and lets one worker at a time accept its clients. The main thread can close it,
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

  // [main] Makes this worker accept from now on, instead of the previous one.
  void AcceptOn(Worker& worker);
  // [main] The worker that accepts; nullptr: none yet.
  Worker* worker() const;
  // [main] Stops accepting: closes the socket before it returns, and removes a unix socket's file
  // unless another process listens on it from now on.
  void Close(bool handed_over = false);

  // [any] accept4(2). EAGAIN also if it is closed.
  Fd AcceptClient(sockaddr_storage* peer, socklen_t* size);
  // [any] Calls `use` with the socket, which stays open meanwhile; does nothing if it is closed.
  template <class Use>
  void WithSocket(Use use) {
    std::lock_guard lock(mutex_);
    if (fd_) use(fd_.get());
  }

  // [main, while it is open] For another process that is to listen, too.
  SharedSocket ForHandover() const { return {fd_.get(), keep_file_, asked_}; }
  // Whether this process must remove the unix socket's file.
  bool owns_file() const { return address_.kind == Address::Kind::kUnix && !keep_file_; }
  const Address& address() const { return address_; }
  const Address& asked() const { return asked_; }    // as in the options
  const std::string& text() const { return text_; }  // with the real port if the option has port 0

 private:
  Proxy& proxy_;
  const Address asked_;
  Address address_;
  std::string text_;
  // Guards fd_: the main thread may close it while a worker is about to accept, and its number
  // could then be another file's. Usually only the accepting worker takes the lock.
  std::mutex mutex_;
  Fd fd_;
  const bool keep_file_;
  const SocketFile file_;
  std::vector<std::unique_ptr<Acceptor>> acceptors_;  // of each worker that has accepted
  Acceptor* acceptor_ = nullptr;                      // the current one
};

}  // namespace rum
