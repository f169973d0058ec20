// A load for a proxy, or for a server without one, and the backend behind it; what came of it is
// one line of JSON. contrib/bench runs it; by hand:
//   load roundtrip --connect 127.0.0.1:7000 --backend 127.0.0.1:7001 --pid "$(pidof rum)"
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <map>

#include "bench/loads.h"

namespace rum::bench {
namespace {

const std::map<std::string, int (*)(const Options&)> kLoads = {
    {"roundtrip", RunRoundtrip},    {"bulk", RunBulk},
    {"connect", RunConnect},        {"idle", RunIdle},
    {"mysql-login", RunMysqlLogin}, {"echo-server", RunServer},
    {"bulk-server", RunServer},     {"mysql-server", RunServer},
};

void OnAlarm(int) {
  static const char text[] = "load: the time is over (--timeout)\n";
  (void)!::write(2, text, sizeof text - 1);
  ::_exit(3);
}

int Main(int argc, char** argv) {
  auto options = ReadOptions(argc, argv);
  auto load = options ? kLoads.find(options->what) : kLoads.end();
  if (load == kLoads.end()) {
    std::fprintf(stderr, "load: %s\nusage: load",
                 options ? "no such load" : options.error().text.c_str());
    for (auto& [name, run] : kLoads) std::fprintf(stderr, " %s", name.c_str());
    std::fprintf(stderr,
                 "\n  --connect HOST:PORT [--backend HOST:PORT] [--pid PID]..."
                 " [--connections N]\n  [--size BYTES] [--seconds S] [--warm S]"
                 " [--operations N] [--direction up|down]\n  [--tls full|resume] [--names FILE]"
                 " [--server-cert FILE]\n  [--user NAME] [--password TEXT] [--users N]"
                 " [--timeout S]\n");
    return 2;
  }
  ::signal(SIGALRM, OnAlarm);
  ::signal(SIGPIPE, SIG_IGN);  // of OpenSSL's writes
  ::alarm(options->timeout);
  rlimit limit;
  ::getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
  return load->second(*options);
}

}  // namespace

int Finish(const Options& options, Window& window) {
  Report report(options.what);
  window.Describe(report);
  report.Print();
  return window.failures() ? 1 : 0;
}

int RunServer(const Options& options) {
  Loop loop;
  const sockaddr_in& address = options.backend ? *options.backend : options.connect;
  if (options.what == "echo-server") ServeEcho(loop, address, options.server_cert);
  if (options.what == "bulk-server") ServeSource(loop, address);
  if (options.what == "mysql-server") ServeMysql(loop, address, options);
  std::puts("ready");
  std::fflush(stdout);
  for (;;) loop.Turn(1000);  // SIGALRM ends it
}

}  // namespace rum::bench

int main(int argc, char** argv) { return rum::bench::Main(argc, argv); }
