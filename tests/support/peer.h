// The two ends that a proxy has, as a test plays them: a client's or server's socket, and a server
// that accepts. Every call waits for at most kTimeout and fails the test then.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/address.h"
#include "base/fd.h"

namespace rum::test {

enum class Ending { kEnd, kReset, kNone };  // how the other end stopped sending; kNone: it did not

class Peer {
 public:
  Peer() = default;
  explicit Peer(Fd fd) : fd_(std::move(fd)) {}
  // "tcp:host:port" or "sock:path"; `receive_buffer` in bytes, 0: as the system has it.
  static Peer Connect(const std::string& address, int receive_buffer = 0);

  explicit operator bool() const { return static_cast<bool>(fd_); }
  int fd() const { return fd_.get(); }

  // Sends all; false when the connection broke on the way.
  bool Send(std::string_view bytes);
  // Sends what the system takes within `milliseconds` and returns how much that was.
  size_t SendUntilStuck(std::string_view bytes, int milliseconds = 300);
  // Exactly that many bytes; fewer when the end, a reset or no more came (which fails the test).
  std::string Receive(size_t size);
  // All that comes until the end or a reset.
  std::string ReceiveAll(Ending* ending = nullptr);
  // What comes within so long; "" when nothing does.
  std::string ReceiveWithin(int milliseconds);
  // Waits for the end and expects no byte before it.
  Ending WaitForEnd();

  void NoDelay();  // what is sent from now on does not wait until what was sent before has come
  void ShutWrite();
  void Reset();  // RST
  void Close() { fd_.reset(); }
  std::string name() const;  // its own address, as text

 private:
  bool Wait(short events, int milliseconds = -1);
  Fd fd_;
};

// Listens on a port of its own, or at a path.
class Server {
 public:
  explicit Server(int backlog = 128);
  explicit Server(const std::string& path, int backlog = 128);

  const std::string& address() const { return address_; }
  uint16_t port() const { return port_; }
  Peer Accept(int receive_buffer = 0);
  // True when somebody is there to be accepted within so long.
  bool SomebodyComes(int milliseconds);
  void Stop() { fd_.reset(); }

 private:
  Fd fd_;
  std::string address_;
  uint16_t port_ = 0;
};

// "tcp:127.0.0.1:port" where nobody listens (the port was free a moment ago).
std::string RefusingAddress();

// A destination that neither accepts nor refuses: a full backlog.
class BlackHole {
 public:
  BlackHole();
  const std::string& address() const { return address_; }

 private:
  Fd listener_;
  Fd fillers_[8];
  std::string address_;
};

// Bytes without a pattern, the same for the same seed.
std::string Noise(size_t size, uint64_t seed);

}  // namespace rum::test
