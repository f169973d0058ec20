#include "proxy/listener.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cstring>
#include <utility>

#include "base/clock.h"
#include "base/log.h"
#include "proxy/proxy.h"
#include "proxy/worker.h"

namespace rum {
namespace {

constexpr int kBacklog = 4096;  // the kernel cuts it to net.core.somaxconn
constexpr int kBatch = 64;      // accepted in one turn
constexpr int kSingles = 16;    // turns after which a batch is tried again
// With no descriptor left the kernel reports the same waiting client again and again: rest instead.
constexpr Millis kRest(200);
constexpr int kTurnedAwayPerRest = 32;

Error BindError(const Address& address, const char* what, int error) {
  std::string text = "cannot listen on " + address.text() + ": " + what + std::strerror(error);
  if (error == EADDRINUSE) text += " (another program has it; see: ss -ltnp)";
  if (error == EACCES) text += " (ports below 1024 and some folders are only for root)";
  return Error{Fault::kBind, text};
}

bool SomebodyAnswers(const sockaddr_un& address) {
  Fd probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!probe) return true;
  // Any other failure says nothing of the kind: a full backlog, or no right to connect.
  return ::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 ||
         (errno != ECONNREFUSED && errno != ENOENT);
}

Result<Fd> OpenUnix(const Address& address, mode_t mode) {
  sockaddr_un where = {};
  where.sun_family = AF_UNIX;
  address.host.copy(where.sun_path, sizeof where.sun_path - 1);
  struct stat status;
  if (::lstat(where.sun_path, &status) == 0) {
    if (!S_ISSOCK(status.st_mode)) {
      return BindError(address, "there is a file that is not a socket: ", EEXIST);
    }
    if (SomebodyAnswers(where)) return BindError(address, "", EADDRINUSE);
    ::unlink(where.sun_path);
  }
  Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) return BindError(address, "", errno);
  // Nobody may connect before the mode is what it should be.
  mode_t old = ::umask(0777);
  int bound = ::bind(fd.get(), reinterpret_cast<sockaddr*>(&where), sizeof where);
  int error = errno;
  ::umask(old);
  if (bound != 0) return BindError(address, "", error);
  if (::chmod(where.sun_path, mode) != 0 || ::listen(fd.get(), kBacklog) != 0) {
    return BindError(address, "", errno);
  }
  return fd;
}

Result<ListeningSocket> OpenTcp(const Address& address, InheritedSockets* inherited) {
  addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  int failed =
      ::getaddrinfo(address.host.c_str(), std::to_string(address.port).c_str(), &hints, &found);
  if (failed) {
    return Error{Fault::kBind,
                 "cannot listen on " + address.text() + ": " + ::gai_strerror(failed)};
  }
  std::unique_ptr<addrinfo, void (*)(addrinfo*)> owner(found, ::freeaddrinfo);
  // Of a name with several addresses, IPv4 comes first: that is what a client calls "localhost".
  const addrinfo* chosen = found;
  for (const addrinfo* a = found; a; a = a->ai_next) {
    if (a->ai_family == AF_INET) {
      chosen = a;
      break;
    }
  }
  if (inherited) {
    auto taken = inherited->TakeBound(SocketAddress::From(chosen->ai_addr, chosen->ai_addrlen));
    if (taken) return std::move(*taken);
  }
  Fd fd(::socket(chosen->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) return BindError(address, "", errno);
  int on = 1;
  ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (chosen->ai_family == AF_INET6) {
    ::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
  }
  // What is accepted inherits it: no system call for each client.
  ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (::bind(fd.get(), chosen->ai_addr, chosen->ai_addrlen) != 0 ||
      ::listen(fd.get(), kBacklog) != 0) {
    return BindError(address, "", errno);
  }
  return ListeningSocket{std::move(fd)};
}

}  // namespace

Result<ListeningSocket> OpenListeningSocket(const Address& address, mode_t socket_mode,
                                            InheritedSockets* inherited) {
  bool is_unix = address.kind == Address::Kind::kUnix;
  if (auto taken = inherited ? inherited->Take(address) : std::nullopt) {
    if (is_unix && !taken->keep_file) ::chmod(address.host.c_str(), socket_mode);
    return std::move(*taken);
  }
  if (!is_unix) return OpenTcp(address, inherited);
  auto fd = OpenUnix(address, socket_mode);
  if (!fd) return fd.error();
  return ListeningSocket{std::move(*fd), false, SocketFile::Of(address.host)};
}

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
      if (errno == EINTR || errno == ECONNABORTED || errno == EPROTO) continue;
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
  if (now - told_ >= 1000) {
    told_ = now;
    log::Error("{}: cannot accept clients: {}{}", text_, std::strerror(error),
               error == EMFILE ? "; raise the limit of open files (ulimit -n, LimitNOFILE=)" : "");
  }
  if (error == EMFILE || error == ENFILE) TurnAway();
  worker_->loop().Unwatch(std::exchange(ticket_, 0), fd_.get());
  rested_->Set(kRest);
}

void Listener::TurnAway() {
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
