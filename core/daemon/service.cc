#include "daemon/service.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <charconv>
#include <cstring>
#include <string_view>

namespace rum {
namespace {

constexpr timeval kSendTimeout = {1, 0};  // bounds how long systemd can block the main loop

Fd ConnectTo(std::string_view path) {
  sockaddr_un where = {};
  where.sun_family = AF_UNIX;
  // '@' denotes the NUL byte of an abstract address.
  if (path.size() < 2 || path.size() >= sizeof where.sun_path) return Fd();
  if (path[0] != '/' && path[0] != '@') return Fd();
  path.copy(where.sun_path, path.size());
  if (path[0] == '@') where.sun_path[0] = '\0';
  Fd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (fd) ::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &kSendTimeout, sizeof kSendTimeout);
  auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size());
  if (fd && ::connect(fd.get(), reinterpret_cast<sockaddr*>(&where), size) != 0) fd.reset();
  return fd;
}

uint64_t NumberIn(const char* text) {
  uint64_t number = 0;
  if (text) std::from_chars(text, text + std::strlen(text), number);
  return number;
}

}  // namespace

Service::Service() {
  const char* path = ::getenv("NOTIFY_SOCKET");
  if (path) socket_ = ConnectTo(path);
  const char* whose = ::getenv("WATCHDOG_PID");
  bool mine = !whose || NumberIn(whose) == static_cast<uint64_t>(::getpid());
  // Half the watchdog's timeout.
  uint64_t millis = NumberIn(::getenv("WATCHDOG_USEC")) / 1000 / 2;
  if (socket_ && mine) alive_interval_ = Millis(millis);
}

void Service::Send(const std::string& text, int flags) {
  if (socket_) (void)!::send(socket_.get(), text.data(), text.size(), MSG_NOSIGNAL | flags);
}

void Service::Ready() { Send("READY=1"); }

void Service::Reloading() { Send("RELOADING=1\nMONOTONIC_USEC=" + std::to_string(NowMicros())); }

void Service::Stopping() { Send("STOPPING=1"); }

void Service::Tick(const std::string& status) {
  Send("STATUS=" + status + (alive_interval_.count() ? "\nWATCHDOG=1" : ""), MSG_DONTWAIT);
}

void Service::HandOverTo(pid_t successor) {
  Send("MAINPID=" + std::to_string(successor));
  socket_.reset();
  alive_interval_ = Millis(0);
}

}  // namespace rum
