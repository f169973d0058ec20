// Tells systemd how it goes (sd_notify(3)): ready, reloading, stopping, a line of status, and that
// the main loop is alive. Speaks the protocol itself, over a socket that is connected at the start:
// behind --chroot libsystemd would not find it any more.
#pragma once

#include <sys/types.h>

#include <string>

#include "base/clock.h"
#include "base/fd.h"

namespace rum {

class Service {
 public:
  // [main] From the environment. Without NOTIFY_SOCKET nothing is told, ever.
  Service();

  void Ready();
  void Reloading();
  void Stopping();
  // The status line, and a sign of life if that is wanted. What systemd does not take now is
  // dropped: the next one comes soon.
  void Tick(const std::string& status);
  // Another process is the service now; this one says nothing any more.
  void HandOverTo(pid_t successor);

  bool on() const { return static_cast<bool>(socket_); }
  // How often Tick() is to be called at least; zero: no matter.
  Millis alive_interval() const { return alive_interval_; }

 private:
  void Send(const std::string& text, int flags = 0);

  Fd socket_;
  Millis alive_interval_{0};
};

}  // namespace rum
