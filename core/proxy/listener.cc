#include "proxy/listener.h"

#include <errno.h>

#include <algorithm>
#include <utility>

#include "proxy/acceptor.h"
#include "proxy/proxy.h"
#include "proxy/worker.h"

namespace rum {

Listener::Listener(Proxy& proxy, const Address& address, ListeningSocket socket)
    : proxy_(proxy),
      asked_(address),
      address_(address),
      fd_(std::move(socket.fd)),
      keep_file_(socket.keep_file),
      file_(socket.file) {
  if (address_.kind == Address::Kind::kTcp && address_.port == 0) {
    sockaddr_storage bound;
    socklen_t size = sizeof bound;
    ::getsockname(fd_.get(), reinterpret_cast<sockaddr*>(&bound), &size);
    address_.port = SocketAddress::From(reinterpret_cast<sockaddr*>(&bound), size).port();
  }
  text_ = address_.text();
}

Listener::~Listener() {
  Close();
  for (auto& acceptor : acceptors_) acceptor->End();
}

void Listener::AcceptOn(Worker& worker) {
  if (!fd_ || this->worker() == &worker) return;
  // A stuck worker does this when it returns; until then no client can wake it.
  if (acceptor_) acceptor_->worker().Post([a = acceptor_] { a->End(); });
  auto own = std::find_if(acceptors_.begin(), acceptors_.end(),
                          [&](const auto& acceptor) { return &acceptor->worker() == &worker; });
  if (own == acceptors_.end()) {
    acceptors_.push_back(std::make_unique<Acceptor>(proxy_, *this, worker));
    own = std::prev(acceptors_.end());
  }
  acceptor_ = own->get();
  worker.Post([a = acceptor_] { a->Begin(); });
}

Worker* Listener::worker() const { return acceptor_ ? &acceptor_->worker() : nullptr; }

void Listener::Close(bool handed_over) {
  if (!fd_) return;
  // While it still listens, so that no other process takes the file for a leftover.
  if (owns_file() && !handed_over) file_.Remove(address_.host);
  std::lock_guard lock(mutex_);
  // Another process may still listen on it: the kernel would keep reporting events.
  for (auto& acceptor : acceptors_) acceptor->worker().loop().Silence(fd_.get());
  fd_.reset();
}

Fd Listener::AcceptClient(sockaddr_storage* peer, socklen_t* size) {
  std::lock_guard lock(mutex_);
  errno = EAGAIN;
  if (!fd_) return Fd();
  return Fd(
      ::accept4(fd_.get(), reinterpret_cast<sockaddr*>(peer), size, SOCK_NONBLOCK | SOCK_CLOEXEC));
}

}  // namespace rum
