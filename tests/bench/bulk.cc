// Streams: the backend sends to the clients without end, or the other way round with --direction
// up.
#include <errno.h>

#include <cstring>

#include "bench/loads.h"
#include "bench/stream.h"

namespace rum::bench {

int RunBulk(const Options& options) {
  Loop loop;
  Window window(options);
  if (options.backend && options.upload) ServeSink(loop, *options.backend, &window);
  if (options.backend && !options.upload) ServeSource(loop, *options.backend);
  for (unsigned i = 0; i < options.connections; ++i) {
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
