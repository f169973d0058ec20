// What a client speaks through: the socket itself, or TLS in it.
#pragma once

#include <sys/epoll.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "bench/options.h"

struct ssl_st;

namespace rum::bench {

class Wire {
 public:
  // The client's end; `name`: of the server, which the ClientHello then has. The name must live
  // until Open() has begun.
  explicit Wire(Options::Tls tls, const char* name = nullptr) : tls_(tls), name_(name) {}
  // The server's end, with TLS. All of a process have the certificate and the key of one PEM file.
  explicit Wire(const std::string& certificate);

  // When the socket is connected, and again when it is ready for `events`, until that is 0. A text:
  // why it failed.
  const char* Open(int fd, uint32_t* events);
  // As send(2) and recv(2) on a socket that does not block.
  ssize_t Send(int fd, const void* bytes, size_t size);
  ssize_t Receive(int fd, void* bytes, size_t size);
  // Announces the end, as browsers and curl do before they close; without it the server at the
  // other end of the TLS session answers the close with an alert.
  void NotifyClose();

 private:
  struct Free {
    void operator()(ssl_st* ssl) const;
  };

  ssize_t Outcome(int result);
  const Options::Tls tls_;
  const char* const name_ = nullptr;
  std::unique_ptr<ssl_st, Free> ssl_;
  bool resumes_ = false;
};

}  // namespace rum::bench
