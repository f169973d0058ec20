// Listening sockets that were open before this process began: those of the process that it takes
// over from, and those that systemd has bound for it.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/fd.h"
#include "base/result.h"

namespace rum {

// Which file a unix socket has, so that another process's, made under the same name later, is not
// taken for it.
class SocketFile {
 public:
  SocketFile() = default;  // none
  static SocketFile Of(const std::string& path);
  // Removes the file at `path` if it is this one.
  void Remove(const std::string& path) const;

 private:
  bool there_ = false;
  dev_t device_ = 0;
  ino_t inode_ = 0;
};

// A socket that listens, and whether the file of a unix socket stays when it is closed.
struct ListeningSocket {
  Fd fd;
  bool keep_file = false;
  SocketFile file{};
};

// One that another process listens on, and hands over.
struct SharedSocket {
  int fd = -1;
  bool given = false;  // by systemd, which removes a unix socket's file itself
  Address address;     // as the other process was told it
};

class InheritedSockets {
 public:
  InheritedSockets() = default;
  // [main] Becomes the owner of these descriptors; one that does not listen is an error.
  static Result<InheritedSockets> Of(const std::vector<SharedSocket>& sockets);
  // [main, before any thread] Those of sd_listen_fds(3); LISTEN_FDS and LISTEN_PID are taken out of
  // the environment.
  static Result<InheritedSockets> FromSystemd();

  // [main] The socket of this address, if there is one: first by how it is written, whether or not
  // with TLS, then TakeBound() by where it is bound.
  std::optional<ListeningSocket> Take(const Address& address);
  std::optional<ListeningSocket> TakeBound(const SocketAddress& where);

  // [main] Closes those that nobody has taken, and removes the files of unix sockets among them.
  // Returns their addresses.
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
