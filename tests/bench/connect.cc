// Short lives: connect, one message, its echo, close; the client closes first, as clients do.
#include <errno.h>
#include <sys/socket.h>

#include <cstring>
#include <fstream>
#include <random>
#include <string>
#include <vector>

#include "bench/loads.h"
#include "bench/wire.h"

namespace rum::bench {
namespace {

uint8_t buffer[1 << 20];

// Other names in each run: what a proxy remembers of the last ones is no advantage.
class Names {
 public:
  explicit Names(const std::string& path) : random_(std::random_device()()) {
    if (path.empty()) return;
    std::ifstream file(path);
    for (std::string line; std::getline(file, line);) names_.push_back(line);
    if (names_.empty()) GiveUp(path + ": no names");
  }

  const char* Draw() {
    if (names_.empty()) return nullptr;
    return names_[std::uniform_int_distribution<size_t>(0, names_.size() - 1)(random_)].c_str();
  }

 private:
  std::vector<std::string> names_;
  std::mt19937 random_;
};

class Visit : public Watch {
 public:
  Visit(Loop& loop, const Options& options, Window& window, Names& names)
      : Watch(loop),
        options_(options),
        window_(window),
        names_(names),
        wire_(options.tls, names.Draw()),
        began_(NowNanos()) {
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
    if (!options_.server_cert.empty() && !failure) wire_.NotifyClose();
    End();
    failure ? window_.Failed(failure) : window_.Completed(began_);
    if (window_.MayStart()) loop().Make<Visit>(options_, window_, names_);
  }

  const Options& options_;
  Window& window_;
  Names& names_;
  Wire wire_;
  uint64_t began_;
  bool connected_ = false, sent_ = false;
  size_t received_ = 0;
};

}  // namespace

int RunConnect(const Options& options) {
  Names names(options.names);
  Loop loop;
  if (options.backend) ServeEcho(loop, *options.backend, options.server_cert);
  Window window(options);
  for (unsigned i = 0; i < options.connections && window.MayStart(); ++i) {
    loop.Make<Visit>(options, window, names);
  }
  while (!window.Over()) loop.Turn(100);
  return Finish(options, window);
}

}  // namespace rum::bench
