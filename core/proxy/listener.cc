#include "proxy/listener.h"

#include <errno.h>
#include <sys/eventfd.h>

#include <cstring>
#include <utility>

#include "base/clock.h"
#include "base/log.h"
#include "proxy/proxy.h"
#include "proxy/worker.h"

namespace rum {
namespace {

constexpr int kBatch = 64;    // accepted in one turn
constexpr int kSingles = 16;  // turns after which a batch is tried again
// With no descriptor left the kernel reports the same waiting client again and again: rest instead.
constexpr Millis kRest(200);
constexpr int kTurnedAwayPerRest = 32;

// What accept(2) tells of a client that is gone, or kept away by a rule or the network: the next
// one may be well.
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
  reserve_.reset(::eventfd(0, EFD_CLOEXEC));
}

Listener::~Listener() { Close(); }

void Listener::Attach(Worker& worker) {
  worker_ = &worker;
  rested_ = std::make_unique<Loop::Timer>(worker.loop(), OnRested, this);
  Watch();
}

void Listener::Watch() {
  ticket_ = worker_->loop().Watch(fd_.get(), EPOLLIN, *this, 0);
  if (!ticket_) rested_->Set(kRest);
}

void Listener::Close(bool handed_over) {
  // Another process may go on listening on it: the kernel would go on telling.
  if (ticket_) worker_->loop().Unwatch(std::exchange(ticket_, 0), fd_.get());
  rested_.reset();
  // While it still listens, so that nobody takes the file for one that was left behind.
  if (fd_ && owns_file() && !handed_over) file_.Remove(address_.host);
  fd_.reset();
}

void Listener::OnRested(void* self) {
  auto& listener = *static_cast<Listener*>(self);
  // While not even the reserve is to be had there is none for a client either.
  if (!listener.reserve_) listener.reserve_.reset(::eventfd(0, EFD_CLOEXEC));
  if (listener.reserve_) {
    listener.Watch();
  } else {
    listener.rested_->Set(kRest);
  }
}

void Listener::Accept() {
  // Clients mostly come one at a time: then a second accept only tells that there is no other. The
  // event is level-triggered, so nobody is missed.
  int batch = single_ > 0 ? 1 : kBatch;
  if (single_ > 0) --single_;
  int failed = 0;
  for (int i = 0; i < batch; ++i) {
    sockaddr_storage peer;
    socklen_t size = sizeof peer;
    Fd client(::accept4(fd_.get(), reinterpret_cast<sockaddr*>(&peer), &size,
                        SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!client) {
      if (errno == EAGAIN) {
        if (i <= 1) single_ = kSingles;
        return;
      }
      // A batch of nothing else is no client's doing.
      if (IsOfOneClient(errno) && ++failed < kBatch) continue;
      return Rest(errno);
    }
    auto address = SocketAddress::From(reinterpret_cast<sockaddr*>(&peer), size).Canonical();
    Worker& worker = proxy_.LeastLoaded(*worker_);
    worker.load.fetch_add(1, std::memory_order_relaxed);
    if (&worker == worker_) {
      worker.Adopt(*this, std::move(client), address);
    } else {
      int fd = client.release();
      bool posted =
          worker.Post([&worker, this, fd, address] { worker.Adopt(*this, Fd(fd), address); });
      if (!posted) {  // it was stopped, as this worker will be in a moment
        worker.load.fetch_sub(1, std::memory_order_relaxed);
        worker_->Refuse(Fd(fd), RUM_CLOSE_DRAIN);
      }
    }
  }
}

// accept(2) failed for lack of something. Says so once a second, tells the waiting clients with the
// reserve descriptor, and tries again a little later.
void Listener::Rest(int error) {
  worker_->counters.accept_failures.Add(1);
  uint64_t now = NowMillis();
  if (now - failure_logged_ >= 1000) {
    failure_logged_ = now;
    log::Error("{}: cannot accept clients: {}{}", text_, std::strerror(error),
               error == EMFILE ? "; raise the limit of open files (ulimit -n, LimitNOFILE=)" : "");
  }
  if (error == EMFILE || error == ENFILE) Refuse();
  worker_->loop().Unwatch(std::exchange(ticket_, 0), fd_.get());
  rested_->Set(kRest);
}

void Listener::Refuse() {
  for (int i = 0; i < kTurnedAwayPerRest && reserve_; ++i) {
    reserve_.reset();
    Fd client(::accept4(fd_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    bool accepted = static_cast<bool>(client);
    if (accepted) worker_->Refuse(std::move(client), RUM_CLOSE_NO_RESOURCES);
    reserve_.reset(::eventfd(0, EFD_CLOEXEC));
    if (!accepted) return;
  }
  if (!reserve_) reserve_.reset(::eventfd(0, EFD_CLOEXEC));
}

}  // namespace rum
