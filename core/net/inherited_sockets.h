// Listening sockets that were opened before this process started: by the process that it takes over
// from, or by systemd.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/fd.h"
#include "base/result.h"

namespace rum {

// Identifies the file of a unix socket, so that another process's socket, created later at the same
// path, is not mistaken for it.
class SocketFile {
 public:
  SocketFile() = default;  // no file
  static SocketFile Of(const std::string& path);
  // Removes the file at `path` if it is still this one.
  void Remove(const std::string& path) const;

 private:
  bool there_ = false;
  dev_t device_ = 0;
  ino_t inode_ = 0;
};

// A listening socket, and whether its unix socket file is kept when it is closed.
struct ListeningSocket {
  Fd fd;
  bool keep_file = false;
  SocketFile file{};
};

// A listening socket that another process hands over.
struct SharedSocket {
  int fd = -1;
  bool given = false;  // bound by systemd, which removes the unix socket file itself
  Address address;     // as configured in the other process
};

class InheritedSockets {
 public:
  InheritedSockets() = default;
  // [main] Takes ownership of the descriptors; one that does not listen is an error.
  static Result<InheritedSockets> Of(const std::vector<SharedSocket>& sockets);
  // [main, before any thread] Takes the sockets of sd_listen_fds(3) and unsets LISTEN_FDS and
  // LISTEN_PID.
  static Result<InheritedSockets> FromSystemd();

  // [main] Takes the socket of `address`, if there is one: first by its text, ignoring TLS, then by
  // its bound address as TakeBound() does.
  std::optional<ListeningSocket> Take(const Address& address);
  std::optional<ListeningSocket> TakeBound(const SocketAddress& where);

  // [main] Closes the sockets that were not taken and removes their unix socket files. Returns
  // their addresses.
  std::vector<std::string> CloseRest();

 private:
  struct Socket {
    Fd fd;
    bool given;
    Address address;
    SocketAddress where;
    SocketFile file;
  };

  Status Add(int fd, bool given, std::optional<Address> address);
  ListeningSocket TakeAt(size_t i);

  std::vector<Socket> sockets_;
};

}  // namespace rum
