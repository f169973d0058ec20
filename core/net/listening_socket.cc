#include "net/listening_socket.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <sys/un.h>

#include <cstring>
#include <memory>
#include <utility>

namespace rum {
namespace {

constexpr int kBacklog = 4096;  // the kernel cuts it to net.core.somaxconn

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
  return ListeningSocket{std::move(*fd)};
}

}  // namespace rum
