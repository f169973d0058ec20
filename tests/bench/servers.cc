// Backends without a protocol: one that sends back what it gets, one that only sends, one that only
// takes.
#include <errno.h>
#include <sys/socket.h>

#include <string>
#include <string_view>

#include "bench/loads.h"
#include "bench/stream.h"
#include "bench/wire.h"

namespace rum::bench {
namespace {

uint8_t buffer[256 * 1024];

class Echo : public Watch {
 public:
  Echo(Loop& loop, Fd fd) : Watch(loop) { Begin(std::move(fd), EPOLLIN); }

  void OnEvents(uint32_t) override {
    if (!waiting_.empty()) return Send({});
    ssize_t n = ::recv(fd(), buffer, sizeof buffer, 0);
    if (n > 0) return Send({reinterpret_cast<char*>(buffer), static_cast<size_t>(n)});
    if (n == 0 || errno != EAGAIN) End();
  }

 private:
  void Send(std::string_view bytes) {
    std::string_view all = waiting_.empty() ? bytes : waiting_;
    ssize_t n = ::send(fd(), all.data(), all.size(), MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN) return End();
    waiting_ = std::string(all.substr(n < 0 ? 0 : static_cast<size_t>(n)));
    Await(waiting_.empty() ? EPOLLIN : EPOLLOUT);
  }

  std::string waiting_;
};

// Messages must fit into the socket's buffer, as those of RunConnect do.
class TlsEcho : public Watch {
 public:
  TlsEcho(Loop& loop, Fd fd, const std::string& certificate) : Watch(loop), wire_(certificate) {
    Begin(std::move(fd), EPOLLIN);
  }

  void OnEvents(uint32_t) override {
    if (!open_) {
      uint32_t awaited = 0;
      if (wire_.Open(fd(), &awaited)) return End();
      open_ = awaited == 0;
      return Await(open_ ? EPOLLIN : awaited);
    }
    ssize_t n = wire_.Receive(fd(), buffer, sizeof buffer);
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0 || wire_.Send(fd(), buffer, static_cast<size_t>(n)) != n) End();
  }

 private:
  Wire wire_;
  bool open_ = false;
};

}  // namespace

Source::Source(Loop& loop, Fd fd) : Watch(loop) { Begin(std::move(fd), EPOLLOUT | EPOLLRDHUP); }

void Source::OnEvents(uint32_t events) {
  if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) return End();
  if (::send(fd(), buffer, sizeof buffer, MSG_NOSIGNAL) < 0 && errno != EAGAIN) End();
}

Sink::Sink(Loop& loop, Fd fd, Window* window) : Watch(loop), window_(window) {
  Begin(std::move(fd), EPOLLIN);
}

void Sink::OnEvents(uint32_t) {
  // MSG_TRUNC: the kernel drops the bytes of a TCP stream without copying them, so that the load
  // costs little and the proxy is what limits.
  ssize_t n = ::recv(fd(), nullptr, 4 << 20, MSG_TRUNC);
  if (n > 0) {
    if (window_) window_->Moved(static_cast<uint64_t>(n));
  } else if (n == 0 || errno != EAGAIN) {
    if (window_) window_->Failed("a stream ended early");
    End();
  }
}

void ServeEcho(Loop& loop, const sockaddr_in& address, const std::string& certificate) {
  if (certificate.empty()) {
    loop.Make<Acceptor>(address, [&loop](Fd fd) { loop.Make<Echo>(std::move(fd)); });
    return;
  }
  loop.Make<Acceptor>(
      address, [&loop, certificate](Fd fd) { loop.Make<TlsEcho>(std::move(fd), certificate); });
}

void ServeSource(Loop& loop, const sockaddr_in& address) {
  loop.Make<Acceptor>(address, [&loop](Fd fd) { loop.Make<Source>(std::move(fd)); });
}

void ServeSink(Loop& loop, const sockaddr_in& address, Window* window) {
  loop.Make<Acceptor>(address, [&loop, window](Fd fd) { loop.Make<Sink>(std::move(fd), window); });
}

}  // namespace rum::bench
