// Sends lines to the system's log. As syslog(3) does, but it tells when nobody takes them.
#pragma once

#include <ctime>
#include <string>
#include <string_view>

#include "base/fd.h"

namespace rum {

class Syslog {
 public:
  explicit Syslog(std::string path = "/dev/log") : path_(std::move(path)) {}
  // A second connection, used apart from the first; one that is there already is shared, so that it
  // goes on behind --chroot.
  Syslog(const Syslog& other);
  Syslog& operator=(const Syslog&) = delete;

  // False, and errno: nobody listens there. True if it has been connected before.
  bool Connect();
  // False: nobody has taken the line. Waits for one who listens but does not read, and connects
  // anew to one that was started again. `severity`: LOG_ERR and so on.
  bool Send(int severity, std::time_t when, std::string_view text);
  // -1: not connected.
  int fd() const { return socket_.get(); }
  bool stream() const { return stream_; }  // each line ends with a NUL byte

 private:
  bool SendOnce(const std::string& message);

  const std::string path_;
  bool stream_ = false;  // lines end with a NUL byte
  Fd socket_;
};

}  // namespace rum
