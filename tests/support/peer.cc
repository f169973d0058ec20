#include "support/peer.h"

#include <errno.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <random>

#include "support/timeout.h"

namespace rum::test {
namespace {

constexpr int kTimeoutMillis = static_cast<int>(std::chrono::milliseconds(kTimeout).count());

Fd Listen(const sockaddr* address, socklen_t size, int backlog) {
  Fd fd(::socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  int on = 1;
  ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  EXPECT_EQ(::bind(fd.get(), address, size), 0) << std::strerror(errno);
  EXPECT_EQ(::listen(fd.get(), backlog), 0) << std::strerror(errno);
  return fd;
}

sockaddr_in Loopback(uint16_t port) {
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  return address;
}

uint16_t PortOf(const Fd& fd) {
  sockaddr_in address = {};
  socklen_t size = sizeof address;
  ::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size);
  return ntohs(address.sin_port);
}

void SetReceiveBuffer(const Fd& fd, int bytes) {
  if (bytes) ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
}

}  // namespace

Peer Peer::Connect(const std::string& text, int receive_buffer) {
  auto address = ParseAddress(text);
  if (!address) {
    ADD_FAILURE() << address.error().text;
    return {};
  }
  sockaddr_storage storage = {};
  socklen_t size;
  if (address->kind == Address::Kind::kUnix) {
    auto& un = reinterpret_cast<sockaddr_un&>(storage);
    un.sun_family = AF_UNIX;
    address->host.copy(un.sun_path, sizeof un.sun_path - 1);
    size = sizeof un;
  } else {
    auto ip = SocketAddress::Numeric(address->host, address->port);
    if (!ip) {
      ADD_FAILURE() << ip.error().text;
      return {};
    }
    std::memcpy(&storage, ip->get(), ip->size());
    size = ip->size();
  }
  Fd fd(::socket(storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  SetReceiveBuffer(fd, receive_buffer);
  if (TEMP_FAILURE_RETRY(::connect(fd.get(), reinterpret_cast<sockaddr*>(&storage), size)) != 0) {
    ADD_FAILURE() << "connect to " << text << ": " << std::strerror(errno);
    return {};
  }
  return Peer(std::move(fd));
}

bool Peer::Wait(short events, int milliseconds) {
  pollfd p = {fd_.get(), events, 0};
  int timeout = milliseconds < 0 ? kTimeoutMillis : milliseconds;
  return TEMP_FAILURE_RETRY(::poll(&p, 1, timeout)) == 1;
}

bool Peer::Send(std::string_view bytes) {
  while (!bytes.empty()) {
    if (!Wait(POLLOUT)) {
      ADD_FAILURE() << bytes.size() << " bytes could not be sent: nobody reads";
      return false;
    }
    ssize_t n = TEMP_FAILURE_RETRY(
        ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT));
    if (n < 0 && errno == EAGAIN) continue;
    if (n < 0) return false;
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  return true;
}

size_t Peer::SendUntilStuck(std::string_view bytes, int milliseconds) {
  size_t sent = 0;
  while (sent < bytes.size() && Wait(POLLOUT, milliseconds)) {
    ssize_t n = TEMP_FAILURE_RETRY(
        ::send(fd_.get(), bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL | MSG_DONTWAIT));
    if (n < 0 && errno != EAGAIN) break;
    if (n > 0) sent += static_cast<size_t>(n);
  }
  return sent;
}

std::string Peer::Receive(size_t size) {
  std::string got;
  std::string block(std::min<size_t>(size, 256 * 1024), '\0');
  while (got.size() < size) {
    if (!Wait(POLLIN)) {
      ADD_FAILURE() << "waited in vain: " << got.size() << " of " << size << " bytes came";
      return got;
    }
    ssize_t n = TEMP_FAILURE_RETRY(
        ::recv(fd_.get(), block.data(), std::min(block.size(), size - got.size()), MSG_DONTWAIT));
    if (n < 0 && errno == EAGAIN) continue;
    if (n <= 0) {
      ADD_FAILURE() << (n == 0 ? "the end" : std::strerror(errno)) << " after " << got.size()
                    << " of " << size << " bytes";
      return got;
    }
    got.append(block, 0, static_cast<size_t>(n));
  }
  return got;
}

std::string Peer::ReceiveAll(Ending* ending) {
  std::string got;
  std::string block(256 * 1024, '\0');
  if (ending) *ending = Ending::kNone;
  while (true) {
    if (!Wait(POLLIN)) {
      ADD_FAILURE() << "waited in vain for the end, after " << got.size() << " bytes";
      return got;
    }
    ssize_t n = TEMP_FAILURE_RETRY(::recv(fd_.get(), block.data(), block.size(), MSG_DONTWAIT));
    if (n < 0 && errno == EAGAIN) continue;
    if (n <= 0) {
      if (ending) *ending = n == 0 ? Ending::kEnd : Ending::kReset;
      return got;
    }
    got.append(block, 0, static_cast<size_t>(n));
  }
}

std::string Peer::ReceiveWithin(int milliseconds) {
  std::string block(256 * 1024, '\0');
  if (!Wait(POLLIN, milliseconds)) return {};
  ssize_t n = TEMP_FAILURE_RETRY(::recv(fd_.get(), block.data(), block.size(), MSG_DONTWAIT));
  return block.substr(0, n > 0 ? static_cast<size_t>(n) : 0);
}

Ending Peer::WaitForEnd() {
  Ending ending;
  std::string rest = ReceiveAll(&ending);
  EXPECT_EQ(rest, "") << "bytes before the end";
  return ending;
}

void Peer::NoDelay() {
  int on = 1;
  ::setsockopt(fd_.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

void Peer::ShutWrite() { ::shutdown(fd_.get(), SHUT_WR); }

void Peer::Reset() {
  linger abort = {1, 0};
  ::setsockopt(fd_.get(), SOL_SOCKET, SO_LINGER, &abort, sizeof abort);
  fd_.reset();
}

std::string Peer::name() const {
  sockaddr_storage address = {};
  socklen_t size = sizeof address;
  ::getsockname(fd_.get(), reinterpret_cast<sockaddr*>(&address), &size);
  return SocketAddress::From(reinterpret_cast<sockaddr*>(&address), size).text();
}

Server::Server(int backlog) {
  sockaddr_in address = Loopback(0);
  fd_ = Listen(reinterpret_cast<sockaddr*>(&address), sizeof address, backlog);
  port_ = PortOf(fd_);
  address_ = "tcp:127.0.0.1:" + std::to_string(port_);
}

Server::Server(const std::string& path, int backlog) : address_("sock:" + path) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  fd_ = Listen(reinterpret_cast<sockaddr*>(&address), sizeof address, backlog);
}

bool Server::SomebodyComes(int milliseconds) {
  pollfd p = {fd_.get(), POLLIN, 0};
  return TEMP_FAILURE_RETRY(::poll(&p, 1, milliseconds)) == 1;
}

Peer Server::Accept(int receive_buffer) {
  SetReceiveBuffer(fd_, receive_buffer);  // accepted sockets inherit it
  if (!SomebodyComes(kTimeoutMillis)) {
    ADD_FAILURE() << "nobody connected to " << address_;
    return {};
  }
  return Peer(Fd(TEMP_FAILURE_RETRY(::accept4(fd_.get(), nullptr, nullptr, SOCK_CLOEXEC))));
}

std::string RefusingAddress() { return Server().address(); }

BlackHole::BlackHole() {
  sockaddr_in any = Loopback(0);
  listener_ = Listen(reinterpret_cast<sockaddr*>(&any), sizeof any, 0);
  uint16_t port = PortOf(listener_);
  address_ = "tcp:127.0.0.1:" + std::to_string(port);
  sockaddr_in address = Loopback(port);
  // More than the queue holds: the last ones stay in SYN_SENT, as will all later ones.
  for (Fd& filler : fillers_) {
    filler.reset(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    (void)!::connect(filler.get(), reinterpret_cast<sockaddr*>(&address), sizeof address);
  }
}

std::string Noise(size_t size, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::string bytes(size, '\0');
  size_t i = 0;
  for (; i + 8 <= size; i += 8) {
    uint64_t word = random();
    std::memcpy(&bytes[i], &word, 8);
  }
  uint64_t word = random();
  std::memcpy(bytes.data() + i, &word, size - i);
  return bytes;
}

}  // namespace rum::test
