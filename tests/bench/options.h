// What one run of the load program is told: --name value, the same names for every subcommand.
#pragma once

#include <netinet/in.h>
#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace rum::bench {

struct Options {
  std::string what;                    // the subcommand
  sockaddr_in connect = {};            // where the load goes: the proxy, or the backend itself
  std::optional<sockaddr_in> backend;  // served here, too; without it somebody else does
  std::vector<pid_t> pids;             // the proxy: its CPU time and memory are told
  unsigned connections = 1;
  size_t size = 100;        // bytes of a message
  double seconds = 2;       // the measured window
  double warm = 0.3;        // before it
  uint64_t operations = 0;  // exactly so many instead of a window, and no warm-up
  enum class Tls { kOff, kFull, kResume };
  Tls tls = Tls::kOff;   // all but result: full handshakes, or resumed ones
  bool upload = false;   // bulk: from the client to the backend
  unsigned timeout = 0;  // seconds until the program gives up; 0: the window and 30 s
  std::string user = "bench", password = "bench-secret";
  std::string names;        // connect: a file of server names, one a line; each visit draws one
  std::string server_cert;  // PEM, with key: the backend that is served here speaks TLS
  unsigned users = 1;       // logins take turns as user0, user1, ...
};

Result<Options> ReadOptions(int argc, char** argv);

}  // namespace rum::bench
