// Short lives: connect, one message, its echo, close; the client closes first, as clients do.
#include <errno.h>
#include <sys/socket.h>

#include <cstring>

#include "bench/loads.h"

namespace rum::bench {
namespace {

uint8_t buffer[1 << 20];

class Visit : public Watch {
 public:
  Visit(Loop& loop, const Options& options, Window& window)
      : Watch(loop), options_(options), window_(window), began_(NowNanos()) {
    Fd fd = BeginConnect(options.connect);
    if (!fd) GiveUp(std::string("connect: ") + std::strerror(errno));
    Begin(std::move(fd), EPOLLOUT);
  }

  void OnEvents(uint32_t) override {
    if (!sent_) {
      int error = ConnectError(fd());
      ssize_t n = error ? -1 : ::send(fd(), buffer, options_.size, MSG_NOSIGNAL);
      if (n != static_cast<ssize_t>(options_.size)) {
        return Leave(std::strerror(error ? error : errno));
      }
      sent_ = true;
      return Await(EPOLLIN);
    }
    ssize_t n = ::recv(fd(), buffer, sizeof buffer, 0);
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
  uint64_t began_;
  bool sent_ = false;
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
