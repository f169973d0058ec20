// Streams: the backend sends to the clients without end, or the other way round with --direction
// up.
#include <errno.h>

#include <cstring>

#include "bench/loads.h"
#include "bench/stream.h"
#include "bench/wire.h"

namespace rum::bench {
namespace {

uint8_t buffer[256 * 1024];

// The client's end of a stream by TLS: sends without end, or counts what comes into the window.
class TlsEnd : public Watch {
 public:
  TlsEnd(Loop& loop, const Options& options, Window& window)
      : Watch(loop), options_(options), window_(window), wire_(options.tls) {
    Fd fd = BeginConnect(options.connect);
    if (!fd) GiveUp(std::string("connect: ") + std::strerror(errno));
    Begin(std::move(fd), EPOLLOUT);
  }

  void OnEvents(uint32_t) override {
    if (!open_) return Open();
    ssize_t n = options_.upload ? wire_.Send(fd(), buffer, sizeof buffer)
                                : wire_.Receive(fd(), buffer, sizeof buffer);
    if (n > 0) {
      if (!options_.upload) window_.Moved(static_cast<uint64_t>(n));
    } else if (n == 0 || errno != EAGAIN) {
      window_.Failed("a stream ended early");
      End();
    }
  }

 private:
  void Open() {
    if (int error = connected_ ? 0 : ConnectError(fd())) {
      GiveUp(std::string("connect: ") + std::strerror(error));
    }
    connected_ = true;
    uint32_t awaited = 0;
    if (const char* failure = wire_.Open(fd(), &awaited)) GiveUp(failure);
    open_ = awaited == 0;
    if (open_) awaited = options_.upload ? EPOLLOUT : EPOLLIN;
    Await(awaited);
  }

  const Options& options_;
  Window& window_;
  Wire wire_;
  bool connected_ = false, open_ = false;
};

}  // namespace

int RunBulk(const Options& options) {
  Loop loop;
  Window window(options);
  if (options.backend && options.upload) ServeSink(loop, *options.backend, &window);
  if (options.backend && !options.upload) ServeSource(loop, *options.backend);
  for (unsigned i = 0; i < options.connections; ++i) {
    if (options.tls != Options::Tls::kOff) {
      loop.Make<TlsEnd>(options, window);
      continue;
    }
    Fd fd = BeginConnect(options.connect);
    if (!fd) GiveUp(std::string("connect: ") + std::strerror(errno));
    if (options.upload) {
      loop.Make<Source>(std::move(fd));
    } else {
      loop.Make<Sink>(std::move(fd), &window);
    }
  }
  while (!window.Over()) loop.Turn(100);
  Report report(options.what);
  double gigabytes = static_cast<double>(window.amount()) / 1e9;
  report.Add("connections", options.connections);
  report.Add("gigabytes", gigabytes, 4);
  report.Add("seconds", window.seconds(), 4);
  report.Add("rate", window.seconds() > 0 ? gigabytes / window.seconds() : 0, 3);
  if (!options.pids.empty()) {
    report.Add("cpu_seconds", window.cpu_seconds(), 6);
    report.Add("cpu_each", gigabytes > 0 ? window.cpu_seconds() / gigabytes : 0, 4);
  }
  report.Add("failures", static_cast<double>(window.failures()));
  report.Print();
  return window.failures() ? 1 : 0;
}

}  // namespace rum::bench
