#include "bench/loop.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace rum::bench {

void GiveUp(const std::string& why) {
  std::fprintf(stderr, "load: %s\n", why.c_str());
  std::exit(2);
}

void Watch::Begin(Fd fd, uint32_t events) {
  fd_ = std::move(fd);
  events_ = events;
  epoll_event event = {.events = events, .data = {.ptr = this}};
  if (::epoll_ctl(loop_.epoll_.get(), EPOLL_CTL_ADD, fd_.get(), &event) != 0) {
    GiveUp(std::string("epoll_ctl: ") + std::strerror(errno));
  }
}

void Watch::Await(uint32_t events) {
  if (events == events_) return;
  events_ = events;
  epoll_event event = {.events = events, .data = {.ptr = this}};
  ::epoll_ctl(loop_.epoll_.get(), EPOLL_CTL_MOD, fd_.get(), &event);
}

void Watch::End() {
  fd_.reset();
  auto found = loop_.watches_.find(this);
  if (found == loop_.watches_.end()) return;
  loop_.graveyard_.push_back(std::move(found->second));
  loop_.watches_.erase(found);
}

Loop::Loop() : epoll_(::epoll_create1(EPOLL_CLOEXEC)) {}

Loop::~Loop() = default;

void Loop::Turn(int milliseconds) {
  std::array<epoll_event, 512> events;
  int n = ::epoll_wait(epoll_.get(), events.data(), events.size(), milliseconds);
  for (int i = 0; i < n; ++i) {
    auto* watch = static_cast<Watch*>(events[i].data.ptr);
    if (watch->fd_) watch->OnEvents(events[i].events);  // else it ended in this turn
  }
  graveyard_.clear();
}

Acceptor::Acceptor(Loop& loop, const sockaddr_in& address, std::function<void(Fd)> accepted)
    : Watch(loop), accepted_(std::move(accepted)) {
  Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  int on = 1;
  ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);  // accepted ones inherit it
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      ::listen(fd.get(), 4096) != 0) {
    GiveUp("cannot serve on port " + std::to_string(ntohs(address.sin_port)) + ": " +
           std::strerror(errno));
  }
  Begin(std::move(fd), EPOLLIN);
}

void Acceptor::OnEvents(uint32_t) {
  for (;;) {
    Fd client(::accept4(fd(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (client) {
      accepted_(std::move(client));
    } else if (errno != EINTR && errno != ECONNABORTED) {
      if (errno == EMFILE || errno == ENFILE) GiveUp("no file descriptor is left (ulimit -n)");
      return;
    }
  }
}

Fd BeginConnect(const sockaddr_in& address) {
  Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) GiveUp("no file descriptor is left (ulimit -n)");
  int on = 1;
  ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  auto* where = reinterpret_cast<const sockaddr*>(&address);
  if (::connect(fd.get(), where, sizeof address) != 0 && errno != EINPROGRESS) return Fd();
  return fd;
}

int ConnectError(int fd) {
  int error = 0;
  socklen_t size = sizeof error;
  return ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 ? error : errno;
}

}  // namespace rum::bench
