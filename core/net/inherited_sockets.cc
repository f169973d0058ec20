#include "net/inherited_sockets.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <charconv>
#include <cstring>

#include "base/log.h"

namespace rum {
namespace {

constexpr int kFirstOfSystemd = 3;  // SD_LISTEN_FDS_START
constexpr unsigned kMostOfSystemd = 1024;

int Option(int fd, int level, int name) {
  int value = 0;
  socklen_t size = sizeof value;
  return ::getsockopt(fd, level, name, &value, &size) == 0 ? value : -1;
}

// The address to write for listening there; nullopt: not of a kind that rum supports.
std::optional<Address> AddressOf(const sockaddr_storage& bound, socklen_t size) {
  Address address;
  if (bound.ss_family == AF_UNIX) {
    const auto& unix_address = reinterpret_cast<const sockaddr_un&>(bound);
    size_t most = size - offsetof(sockaddr_un, sun_path);
    if (size <= offsetof(sockaddr_un, sun_path) || !unix_address.sun_path[0]) return std::nullopt;
    address.kind = Address::Kind::kUnix;
    address.host.assign(unix_address.sun_path, ::strnlen(unix_address.sun_path, most));
    return address;
  }
  auto where = SocketAddress::From(reinterpret_cast<const sockaddr*>(&bound), size);
  if (!where.ip()) return std::nullopt;
  address.host = where.host();
  address.port = where.port();
  return address;
}

unsigned NumberIn(const char* variable) {
  const char* text = ::getenv(variable);
  unsigned number = 0;
  if (text) std::from_chars(text, text + std::strlen(text), number);
  return number;
}

}  // namespace

SocketFile SocketFile::Of(const std::string& path) {
  SocketFile file;
  struct stat status;
  if (::lstat(path.c_str(), &status) != 0 || !S_ISSOCK(status.st_mode)) return file;
  file.there_ = true;
  file.device_ = status.st_dev;
  file.inode_ = status.st_ino;
  return file;
}

void SocketFile::Remove(const std::string& path) const {
  struct stat status;
  if (!there_ || ::lstat(path.c_str(), &status) != 0) return;
  if (status.st_dev == device_ && status.st_ino == inode_) ::unlink(path.c_str());
}

Status InheritedSockets::Add(int fd, bool given, std::optional<Address> address) {
  Fd owner(fd);
  std::string what = "descriptor " + std::to_string(fd) + (given ? " of systemd" : "");
  if (Option(fd, SOL_SOCKET, SO_ACCEPTCONN) != 1 ||
      Option(fd, SOL_SOCKET, SO_TYPE) != SOCK_STREAM) {
    return Error{Fault::kBind, what + " is not a socket that accepts connections" +
                                   (given ? " (use ListenStream= with Accept=no)" : "")};
  }
  sockaddr_storage bound = {};
  socklen_t size = sizeof bound;
  ::getsockname(fd, reinterpret_cast<sockaddr*>(&bound), &size);
  if (!address) address = AddressOf(bound, size);
  if (!address)
    return Error{Fault::kBind, what + " is bound to an address that rum does not support"};
  ::fcntl(fd, F_SETFD, FD_CLOEXEC);
  ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK);
  if (bound.ss_family != AF_UNIX) {  // as the listener does; accepted sockets inherit these
    int on = 1;
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    ::setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  }
  SocketFile file;
  if (address->kind == Address::Kind::kUnix) file = SocketFile::Of(address->host);
  sockets_.push_back({std::move(owner), given, std::move(*address),
                      SocketAddress::From(reinterpret_cast<sockaddr*>(&bound), size), file});
  return Ok();
}

Result<InheritedSockets> InheritedSockets::Of(const std::vector<SharedSocket>& sockets) {
  InheritedSockets all;
  for (const SharedSocket& socket : sockets) {
    if (auto added = all.Add(socket.fd, socket.given, socket.address); !added) {
      return added.error();
    }
  }
  return all;
}

Result<InheritedSockets> InheritedSockets::FromSystemd() {
  InheritedSockets all;
  unsigned count = NumberIn("LISTEN_FDS");
  bool mine = NumberIn("LISTEN_PID") == static_cast<unsigned>(::getpid());
  for (const char* name : {"LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"}) ::unsetenv(name);
  if (!mine) return all;
  if (count > kMostOfSystemd) return Error{Fault::kUsage, "LISTEN_FDS is too large"};
  for (unsigned i = 0; i < count; ++i) {
    auto added = all.Add(kFirstOfSystemd + static_cast<int>(i), true, std::nullopt);
    if (!added) return added.error();
  }
  return all;
}

ListeningSocket InheritedSockets::TakeAt(size_t i) {
  ListeningSocket taken{std::move(sockets_[i].fd), sockets_[i].given, sockets_[i].file};
  sockets_.erase(sockets_.begin() + static_cast<std::ptrdiff_t>(i));
  return taken;
}

std::optional<ListeningSocket> InheritedSockets::Take(const Address& address) {
  for (size_t i = 0; i < sockets_.size(); ++i) {
    const Address& one = sockets_[i].address;
    if (one.kind == address.kind && one.port == address.port && one.host == address.host) {
      return TakeAt(i);
    }
  }
  return std::nullopt;
}

std::optional<ListeningSocket> InheritedSockets::TakeBound(const SocketAddress& where) {
  for (size_t i = 0; i < sockets_.size(); ++i) {
    if (sockets_[i].where.ip() && sockets_[i].where.text() == where.text()) return TakeAt(i);
  }
  return std::nullopt;
}

std::vector<std::string> InheritedSockets::CloseRest() {
  std::vector<std::string> closed;
  for (const Socket& socket : sockets_) {
    closed.push_back(socket.address.text());
    if (!socket.given) socket.file.Remove(socket.address.host);
  }
  sockets_.clear();
  return closed;
}

}  // namespace rum
