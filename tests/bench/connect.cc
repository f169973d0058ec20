// Short lives: connect, one message, its echo, close; the client closes first, as clients do.
#include <errno.h>
#include <sys/socket.h>

#include <cstring>

#include "bench/loads.h"
#include "bench/wire.h"

namespace rum::bench {
namespace {

uint8_t buffer[1 << 20];

class Visit : public Watch {
 public:
  Visit(Loop& loop, const Options& options, Window& window)
      : Watch(loop), options_(options), window_(window), wire_(options.tls), began_(NowNanos()) {
    Fd fd = BeginConnect(options.connect);
    if (!fd) GiveUp(std::string("connect: ") + std::strerror(errno));
    Begin(std::move(fd), EPOLLOUT);
  }

  void OnEvents(uint32_t) override {
    if (!sent_) {
      if (int error = connected_ ? 0 : ConnectError(fd())) return Leave(std::strerror(error));
      connected_ = true;
      uint32_t awaited = 0;
      if (const char* failure = wire_.Open(fd(), &awaited)) return Leave(failure);
      if (awaited) return Await(awaited);
      ssize_t n = wire_.Send(fd(), buffer, options_.size);
      if (n != static_cast<ssize_t>(options_.size)) return Leave(std::strerror(errno));
      sent_ = true;
      return Await(EPOLLIN);
    }
    ssize_t n = wire_.Receive(fd(), buffer, sizeof buffer);
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) return Leave(n == 0 ? "closed before the echo" : std::strerror(errno));
    received_ += static_cast<size_t>(n);
    if (received_ >= options_.size) Leave(nullptr);
  }

 private:
  void Leave(const char* failure) {
    End();
    failure ? window_.Failed(failure) : window_.Completed(began_);
    if (window_.MayStart()) loop().Make<Visit>(options_, window_);
  }

  const Options& options_;
  Window& window_;
  Wire wire_;
  uint64_t began_;
  bool connected_ = false, sent_ = false;
  size_t received_ = 0;
};

}  // namespace

int RunConnect(const Options& options) {
  Loop loop;
  if (options.backend) ServeEcho(loop, *options.backend);
  Window window(options);
  for (unsigned i = 0; i < options.connections && window.MayStart(); ++i) {
    loop.Make<Visit>(options, window);
  }
  while (!window.Over()) loop.Turn(100);
  return Finish(options, window);
}

}  // namespace rum::bench
