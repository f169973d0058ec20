// Sends lines to syslog. Unlike syslog(3), it reports when no daemon receives them.
#pragma once

#include <ctime>
#include <string>
#include <string_view>

#include "base/fd.h"

namespace rum {

class Syslog {
 public:
  explicit Syslog(std::string path = "/dev/log") : path_(std::move(path)) {}
  // Makes an independent object for another thread; an open connection is shared, so that it still
  // works after --chroot.
  Syslog(const Syslog& other);
  Syslog& operator=(const Syslog&) = delete;

  // Returns false and sets errno if no daemon listens. Returns true if it was connected before.
  bool Connect();
  // Returns false if the line was not delivered. Blocks while the daemon does not read; reconnects
  // to a daemon that was restarted. `severity`: LOG_ERR and so on.
  bool Send(int severity, std::time_t when, std::string_view text);
  // -1: not connected.
  int fd() const { return socket_.get(); }
  bool stream() const { return stream_; }  // each line ends with a NUL byte

 private:
  bool SendOnce(const std::string& message);

  const std::string path_;
  bool stream_ = false;  // stream socket: each line ends with a NUL byte
  Fd socket_;
};

}  // namespace rum
