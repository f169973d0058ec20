// The two peers of a proxy, played by a test: a socket of a client or server, and a server that
// accepts. Every call waits at most kTimeout, and then fails the test.
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
  // "tcp:host:port" or "sock:path"; `receive_buffer` in bytes, 0: the system's default.
  static Peer Connect(const std::string& address, int receive_buffer = 0);

  explicit operator bool() const { return static_cast<bool>(fd_); }
  int fd() const { return fd_.get(); }

  // Sends all; false if the connection broke before the end.
  bool Send(std::string_view bytes);
  // Sends what the system accepts within `milliseconds`, and returns its size.
  size_t SendUntilStuck(std::string_view bytes, int milliseconds = 300);
  // Exactly that many bytes; fewer after end of file, a reset or a timeout (which fails the test).
  std::string Receive(size_t size);
  // All bytes until end of file or a reset.
  std::string ReceiveAll(Ending* ending = nullptr);
  // The bytes that arrive in this time; may be empty.
  std::string ReceiveWithin(int milliseconds);
  // Waits for end of file; fails on any byte before it.
  Ending WaitForEnd();

  void NoDelay();  // sends from now on do not wait for earlier bytes to arrive
  void ShutWrite();
  void Reset();  // RST
  void Close() { fd_.reset(); }
  std::string name() const;  // its own address, as text

 private:
  bool Wait(short events, int milliseconds = -1);
  Fd fd_;
};

// Listens on a free port, or at a path.
class Server {
 public:
  explicit Server(int backlog = 128);
  explicit Server(const std::string& path, int backlog = 128);

  const std::string& address() const { return address_; }
  uint16_t port() const { return port_; }
  Peer Accept(int receive_buffer = 0);
  // True if a connection arrives within this time.
  bool SomebodyComes(int milliseconds);
  void Stop() { fd_.reset(); }

 private:
  Fd fd_;
  std::string address_;
  uint16_t port_ = 0;
};

// "tcp:127.0.0.1:port" without a listener (the port was free a moment ago).
std::string RefusingAddress();

// A destination with a full backlog: it neither accepts nor refuses.
class BlackHole {
 public:
  BlackHole();
  const std::string& address() const { return address_; }

 private:
  Fd listener_;
  Fd fillers_[8];
  std::string address_;
};

// Pseudo-random bytes, the same for the same seed.
std::string Noise(size_t size, uint64_t seed);

}  // namespace rum::test
