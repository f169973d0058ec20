// Small messages: a client sends one, waits until as many bytes are back, and sends the next. With
// --connect and idle connections it is the same client, which stops after one message.
#include <errno.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "bench/loads.h"
#include "bench/wire.h"

namespace rum::bench {
namespace {

uint8_t buffer[1 << 20];

class Client : public Watch {
 public:
  // Without a window it says one message and falls silent; `silent` counts those.
  Client(Loop& loop, const Options& options, Window* window, unsigned* silent)
      : Watch(loop), options_(options), window_(window), silent_(silent), wire_(options.tls) {
    Fd fd = BeginConnect(options.connect);
    if (!fd) GiveUp(std::string("connect: ") + std::strerror(errno));
    Begin(std::move(fd), EPOLLOUT);
  }

  void OnEvents(uint32_t) override {
    if (connecting_) {
      if (int error = connected_ ? 0 : ConnectError(fd())) {
        GiveUp(std::string("connect: ") + std::strerror(error));
      }
      connected_ = true;
      uint32_t awaited = 0;
      if (const char* failure = wire_.Open(fd(), &awaited)) GiveUp(failure);
      if (awaited) return Await(awaited);
      connecting_ = false;
      return Start();
    }
    if (to_send_) return Send();
    ssize_t n = wire_.Receive(fd(), buffer, sizeof buffer);
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) {
      if (window_) window_->Failed(n == 0 ? "a connection was closed" : std::strerror(errno));
      return End();
    }
    to_receive_ -= std::min(to_receive_, static_cast<size_t>(n));
    if (to_receive_) return;
    if (!window_) {
      ++*silent_;
      return;
    }
    window_->Completed(began_);
    Start();
  }

 private:
  void Start() {
    if (window_ && !window_->MayStart()) return Await(EPOLLIN);
    to_send_ = to_receive_ = options_.size;
    began_ = NowNanos();
    Send();
  }

  void Send() {
    ssize_t n = wire_.Send(fd(), buffer, to_send_);
    if (n < 0 && errno != EAGAIN) {
      if (window_) window_->Failed(std::strerror(errno));
      return End();
    }
    if (n > 0) to_send_ -= static_cast<size_t>(n);
    Await(to_send_ ? EPOLLOUT : EPOLLIN);
  }

  const Options& options_;
  Window* window_;
  unsigned* silent_;
  Wire wire_;
  bool connecting_ = true, connected_ = false;
  size_t to_send_ = 0, to_receive_ = 0;
  uint64_t began_ = 0;
};

// Connects `number` of them, not more than a few at once, and waits until all have had an echo.
void OpenSilent(Loop& loop, const Options& options, unsigned number) {
  constexpr unsigned kAtOnce = 32;
  unsigned silent = 0;
  for (unsigned opened = 0; silent < number; loop.Turn(100)) {
    while (opened < number && opened < silent + kAtOnce) {
      loop.Make<Client>(options, nullptr, &silent);
      ++opened;
    }
  }
}

void Rest(Loop& loop, double seconds) {
  for (uint64_t end = NowNanos() + static_cast<uint64_t>(seconds * 1e9); NowNanos() < end;) {
    loop.Turn(50);
  }
}

}  // namespace

int RunRoundtrip(const Options& options) {
  Loop loop;
  if (options.backend) ServeEcho(loop, *options.backend);
  Window window(options);
  for (unsigned i = 0; i < options.connections; ++i) {
    loop.Make<Client>(options, &window, nullptr);
  }
  while (!window.Over()) loop.Turn(100);
  return Finish(options, window);
}

int RunIdle(const Options& options) {
  {
    // Once before, so that what the proxy allocates for good is not charged to connections.
    Loop loop;
    if (options.backend) ServeEcho(loop, *options.backend);
    OpenSilent(loop, options, std::min(options.connections, 64u));
  }
  Loop loop;
  if (options.backend) ServeEcho(loop, *options.backend);
  Rest(loop, 0.5);
  Memory before = MemoryOf(options.pids);
  OpenSilent(loop, options, options.connections);
  Rest(loop, 0.5);
  Memory after = MemoryOf(options.pids);
  Report report(options.what);
  double n = options.connections;
  report.Add("connections", n);
  report.Add("private_before", static_cast<double>(before.own));
  report.Add("private_after", static_cast<double>(after.own));
  auto each = [n](uint64_t a, uint64_t b) {
    return (static_cast<double>(b) - static_cast<double>(a)) / n;
  };
  report.Add("private_each", each(before.own, after.own), 1);
  report.Add("pss_each", each(before.pss, after.pss), 1);
  report.Add("failures", 0);
  report.Print();
  return 0;
}

}  // namespace rum::bench
