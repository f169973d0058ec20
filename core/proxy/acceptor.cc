#include "proxy/acceptor.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <cstring>
#include <utility>

#include "base/address.h"
#include "base/clock.h"
#include "base/log.h"
#include "limits/descriptors.h"
#include "proxy/listener.h"
#include "proxy/proxy.h"
#include "proxy/worker.h"

namespace rum {
namespace {

constexpr int kBatch = 64;    // accepted per turn
constexpr int kSingles = 16;  // turns before the next batch
// Without descriptors, the kernel reports the same waiting client again and again: pause instead.
constexpr Millis kPause(200);
constexpr int kRefusedPerPause = 32;
// Until it is looked again whether another worker has given up a descriptor.
constexpr Millis kTurn(5);

// Errors of accept(2) about one client (it has left, or a firewall or the network blocks it): the
// next one may be fine.
bool IsOfOneClient(int error) {
  switch (error) {
    case EINTR:
    case ECONNABORTED:
    case EPERM:
    case EPROTO:
    case ENOPROTOOPT:
    case EOPNOTSUPP:
    case ENETDOWN:
    case ENETUNREACH:
    case ENONET:
    case EHOSTDOWN:
    case EHOSTUNREACH:
    case ETIMEDOUT:
      return true;
    default:
      return false;
  }
}

}  // namespace

Acceptor::Acceptor(Proxy& proxy, Listener& listener, Worker& worker)
    : proxy_(proxy), listener_(listener), worker_(worker), reserve_(::eventfd(0, EFD_CLOEXEC)) {}

void Acceptor::Begin() {
  if (std::exchange(on_, true)) return;
  pause_ = std::make_unique<Loop::Timer>(worker_.loop(), OnPauseOver, this);
  Watch();
}

void Acceptor::End() {
  if (!std::exchange(on_, false)) return;
  Unwatch();
  pause_.reset();
}

// Does nothing if the listener is closed.
void Acceptor::Watch() {
  listener_.WithSocket([this](int fd) {
    ticket_ = worker_.loop().Watch(fd, EPOLLIN, *this, 0);
    if (!ticket_) pause_->Set(kPause);
  });
}

void Acceptor::OnPauseOver(void* self) {
  auto& acceptor = *static_cast<Acceptor*>(self);
  // If even the reserve descriptor cannot be opened, there is none for a client either.
  if (!acceptor.reserve_) acceptor.reserve_.reset(::eventfd(0, EFD_CLOEXEC));
  if (acceptor.reserve_) {
    acceptor.Watch();
  } else {
    acceptor.pause_->Set(kPause);
  }
}

// Another process may have the socket open, too: the kernel would keep reporting events.
void Acceptor::Unwatch() {
  if (!ticket_) return;
  listener_.WithSocket([this](int fd) { worker_.loop().Unwatch(std::exchange(ticket_, 0), fd); });
  if (ticket_) worker_.loop().Forget(std::exchange(ticket_, 0));  // else done by Close()
}

void Acceptor::Accept() {
  // Clients usually arrive one at a time; then a second accept would only return EAGAIN. The event
  // is level-triggered, so no client is missed.
  int batch = single_ > 0 ? 1 : kBatch;
  if (single_ > 0) --single_;
  int failed = 0;
  for (int i = 0; i < batch; ++i) {
    sockaddr_storage peer;
    socklen_t size = sizeof peer;
    Fd client(listener_.AcceptClient(&peer, &size));
    if (!client) {
      if (errno == EAGAIN) {
        if (i <= 1) single_ = kSingles;
        return;
      }
      // A batch that consists only of such errors was not caused by clients.
      if (IsOfOneClient(errno) && ++failed < kBatch) continue;
      const int error = errno;
      if (!IsShortage(error)) return Pause(error);
      const Proxy::GaveWay gave = proxy_.GiveWay(worker_);
      if (gave == Proxy::GaveWay::kNow) continue;
      if (gave == Proxy::GaveWay::kSoon && WaitForRoom()) return;
      return Pause(error);
    }
    room_until_ = 0;
    auto address = SocketAddress::From(reinterpret_cast<sockaddr*>(&peer), size).Canonical();
    Worker& worker = proxy_.LeastLoaded(worker_);
    worker.load.fetch_add(1, std::memory_order_relaxed);
    if (&worker == &worker_) {
      worker.Adopt(listener_, std::move(client), address);
    } else {
      int fd = client.release();
      bool posted =
          worker.Post([&worker, this, fd, address] { worker.Adopt(listener_, Fd(fd), address); });
      if (!posted) {  // it has stopped, as this worker soon will
        worker.load.fetch_sub(1, std::memory_order_relaxed);
        worker_.Refuse(Fd(fd), RUM_CLOSE_DRAIN);
      }
    }
  }
}

// False: clients have waited for long enough.
bool Acceptor::WaitForRoom() {
  const uint64_t now = NowMillis();
  if (room_until_ == 0) room_until_ = now + Proxy::kSoonMost;
  if (now >= room_until_) return false;
  Unwatch();
  pause_->Set(kTurn);
  return true;
}

// accept(2) failed for lack of resources. Logs it once a second, refuses the waiting clients by
// means of the reserve descriptor, and tries again a little later.
void Acceptor::Pause(int error) {
  worker_.counters.accept_failures.Add(1);
  uint64_t now = NowMillis();
  if (now - failure_logged_ >= 1000) {
    failure_logged_ = now;
    log::Error("{}: cannot accept clients: {}{}", listener_.text(), std::strerror(error),
               error == EMFILE ? "; raise the limit of open files (ulimit -n, LimitNOFILE=)" : "");
  }
  if (error == EMFILE || error == ENFILE) Refuse();
  Unwatch();
  pause_->Set(kPause);
}

void Acceptor::Refuse() {
  for (int i = 0; i < kRefusedPerPause && reserve_; ++i) {
    reserve_.reset();
    Fd client(listener_.AcceptClient(nullptr, nullptr));
    bool accepted = static_cast<bool>(client);
    if (accepted) worker_.Refuse(std::move(client), RUM_CLOSE_NO_RESOURCES);
    reserve_.reset(::eventfd(0, EFD_CLOEXEC));
    if (!accepted) return;
  }
  if (!reserve_) reserve_.reset(::eventfd(0, EFD_CLOEXEC));
}

}  // namespace rum
