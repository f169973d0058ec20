// Notifies systemd (sd_notify(3)): ready, reloading, stopping, status line, watchdog. Implements
// the protocol itself over a socket that is connected at the start, since libsystemd could not find
// the socket after --chroot.
#pragma once

#include <sys/types.h>

#include <string>

#include "base/clock.h"
#include "base/fd.h"

namespace rum {

class Service {
 public:
  // [main] Reads the environment. Does nothing if NOTIFY_SOCKET is unset.
  Service();

  void Ready();
  void Reloading();
  void Stopping();
  // Sends the status line, and the watchdog's keep-alive if it is enabled. Dropped if systemd does
  // not accept it at once, since the next one follows soon.
  void Tick(const std::string& status);
  // Another process is the service now; stops all notifications.
  void HandOverTo(pid_t successor);

  bool on() const { return static_cast<bool>(socket_); }
  // The longest interval between calls of Tick(); zero: any.
  Millis alive_interval() const { return alive_interval_; }

 private:
  void Send(const std::string& text, int flags = 0);

  Fd socket_;
  Millis alive_interval_{0};
};

}  // namespace rum
