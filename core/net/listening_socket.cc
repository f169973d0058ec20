#include "net/listening_socket.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <sys/un.h>

#include <charconv>
#include <cstddef>
#include <cstring>
#include <filesystem>
#include <memory>
#include <optional>
#include <system_error>
#include <utility>

namespace rum {
namespace {

constexpr int kBacklog = 4096;  // the kernel limits it to net.core.somaxconn

bool IsWildcard(const SocketAddress& address) {
  if (address.family() == AF_INET) return address.host() == "0.0.0.0";
  return address.family() == AF_INET6 && address.host() == "::";
}

// Describes the listening socket of this process, bound or inherited, that prevents binding to
// `wanted`.
std::optional<std::string> OwnSocketThere(const sockaddr* wanted, socklen_t wanted_size) {
  const auto there = SocketAddress::From(wanted, wanted_size);
  std::error_code error;
  for (std::filesystem::directory_iterator entry("/proc/self/fd", error), end;
       !error && entry != end; entry.increment(error)) {
    const std::string name = entry->path().filename();
    int fd = -1;
    std::from_chars(name.data(), name.data() + name.size(), fd);
    int listens = 0, one_family = 1;
    socklen_t size = sizeof listens;
    sockaddr_storage bound = {};
    socklen_t bound_size = sizeof bound;
    auto* raw = reinterpret_cast<sockaddr*>(&bound);
    if (::getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) != 0 || !listens) continue;
    if (::getsockname(fd, raw, &bound_size) != 0) continue;
    if (wanted->sa_family == AF_UNIX || bound.ss_family == AF_UNIX) {
      if (bound_size != wanted_size || std::memcmp(raw, wanted, bound_size) != 0) continue;
      return "this rum already listens there";
    }
    const auto own = SocketAddress::From(raw, bound_size);
    if (!own.ip() || own.port() != there.port()) continue;
    if (own.family() == there.family()) {
      if (own.host() != there.host() && !IsWildcard(own) && !IsWildcard(there)) continue;
      return "this rum listens on " + own.text() + " already";
    }
    size = sizeof one_family;
    if (own.family() != AF_INET6 || !IsWildcard(own)) continue;
    ::getsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one_family, &size);
    if (one_family) continue;
    return "this rum has inherited " + own.text() +
           ", which serves IPv4 as well: remove this address, or set BindIPv6Only=ipv6-only in the "
           "socket unit of systemd";
  }
  return std::nullopt;
}

Error BindError(const Address& address, const char* what, int error,
                const sockaddr* where = nullptr, socklen_t size = 0) {
  std::string text = "cannot listen on " + address.text() + ": " + what + std::strerror(error);
  if (error == EADDRINUSE) {
    auto own = where ? OwnSocketThere(where, size) : std::nullopt;
    const char* look = address.kind == Address::Kind::kUnix ? "ss -lxp" : "ss -ltnp";
    text += " (" + own.value_or(std::string("another program uses it; see: ") + look) + ")";
  }
  if (error == EACCES) text += " (ports below 1024 and some folders are only for root)";
  return Error{Fault::kBind, text};
}

bool SomebodyAnswers(const sockaddr_un& address) {
  Fd probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!probe) return true;
  // Other failures do not prove that the socket is dead: its backlog is full, or this user may not
  // connect.
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
      return BindError(address, "the path exists and is not a socket: ", EEXIST);
    }
    if (SomebodyAnswers(where)) {
      const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) +
                                               address.host.size() + 1);  // as bind(2) counts it
      return BindError(address, "", EADDRINUSE, reinterpret_cast<sockaddr*>(&where), size);
    }
    ::unlink(where.sun_path);
  }
  Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) return BindError(address, "", errno);
  // Prevent connections until the mode is set.
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
  // If a name has several addresses, prefer IPv4: clients connect to it for "localhost".
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
  // Accepted sockets inherit it, which saves a system call per client.
  ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (::bind(fd.get(), chosen->ai_addr, chosen->ai_addrlen) != 0 ||
      ::listen(fd.get(), kBacklog) != 0) {
    return BindError(address, "", errno, chosen->ai_addr, chosen->ai_addrlen);
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

}  // namespace rum
