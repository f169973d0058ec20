// What a client speaks through: the socket itself, or TLS in it.
#pragma once

#include <sys/epoll.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <memory>

#include "bench/options.h"

struct ssl_st;

namespace rum::bench {

class Wire {
 public:
  explicit Wire(Options::Tls tls) : tls_(tls) {}

  // When the socket is connected, and again when it is ready for `events`, until that is 0. A text:
  // why it failed.
  const char* Open(int fd, uint32_t* events);
  // As send(2) and recv(2) on a socket that does not block.
  ssize_t Send(int fd, const void* bytes, size_t size);
  ssize_t Receive(int fd, void* bytes, size_t size);

 private:
  struct Free {
    void operator()(ssl_st* ssl) const;
  };

  ssize_t Outcome(int result);
  const Options::Tls tls_;
  std::unique_ptr<ssl_st, Free> ssl_;
  bool resumes_ = false;
};

}  // namespace rum::bench
