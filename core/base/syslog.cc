#include "base/syslog.h"

#include <errno.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <syslog.h>
#include <unistd.h>

namespace rum {

Syslog::Syslog(const Syslog& other)
    : path_(other.path_),
      stream_(other.stream_),
      socket_(other.socket_ ? ::fcntl(other.socket_.get(), F_DUPFD_CLOEXEC, 3) : -1) {}

bool Syslog::Connect() {
  if (socket_) return true;
  sockaddr_un where = {};
  where.sun_family = AF_UNIX;
  path_.copy(where.sun_path, sizeof where.sun_path - 1);
  for (int type : {SOCK_DGRAM, SOCK_STREAM}) {
    Fd fd(::socket(AF_UNIX, type | SOCK_CLOEXEC, 0));
    if (!fd) return false;
    if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&where), sizeof where) == 0) {
      stream_ = type == SOCK_STREAM;
      socket_ = std::move(fd);
      return true;
    }
    if (errno != EPROTOTYPE) return false;
  }
  return false;
}

bool Syslog::Send(int severity, std::time_t when, std::string_view text) {
  tm local = {};
  char time[32] = "";
  ::localtime_r(&when, &local);
  ::strftime(time, sizeof time, "%b %e %T", &local);
  const std::string message =
      fmt::format("<{}>{} rum[{}]: {}", LOG_DAEMON | severity, time, ::getpid(), text);
  const bool before = static_cast<bool>(socket_);
  if (Connect() && SendOnce(message)) return true;
  socket_.reset();
  return before && Connect() && SendOnce(message);
}

bool Syslog::SendOnce(const std::string& message) {
  size_t left = message.size() + stream_;  // including the NUL byte of a stream
  const char* next = message.c_str();
  while (left > 0) {
    ssize_t n = TEMP_FAILURE_RETRY(::send(socket_.get(), next, left, MSG_NOSIGNAL));
    if (n <= 0) return false;
    next += n;
    left -= static_cast<size_t>(n);
  }
  return true;
}

}  // namespace rum
