// What the old process passes to the new one in the environment: the role of each descriptor.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "admin/generation.h"
#include "base/address.h"
#include "base/fd.h"
#include "base/result.h"
#include "net/inherited_sockets.h"
#include "proxy/login_pauses.h"
#include "upstream/server_health.h"

namespace rum {

inline constexpr const char* kHandoverVariable = "RUM_HANDOVER";

// Text form:
// "ready:7,stderr:8,detach:,map:,pidfile:9,own:5:tcp:0.0.0.0:3306,given:6:sock:/run/x,drain:tcp:db1:3306";
// in addresses ',', '%' and control characters are written as %XX. "shared:10" is the memory of the
// modules' shared table. "rest:9" is a file with further entries, since an environment variable is
// limited to 128 KiB. "older:71:1700000000:/run/rum/control.sock.71" is a process that ends with
// its sessions, "ids:4194308" an id that no session of an older process has or exceeds.
// "pause:86400000:user:alice" is a pause of new logins, until this monotonic time in milliseconds.
struct HandoverNote {
  struct ServerAdmin {
    std::string server;
    AdminState state;
  };
  struct Pause {
    LoginPauses::Kind kind;
    std::string name;
    uint64_t until;  // monotonic ms
  };
  int ready = -1;         // the pipe for the new process's report
  int error_output = -1;  // becomes its standard error
  bool detach = false;    // the new process becomes the child of the nearest subreaper
  bool has_map = false;   // the old process has a map: the new one must not take over without one
  int pidfile = -1;       // the lock; -1: none
  int shared = -1;        // the memory of the modules' shared table; -1: none
  std::vector<SharedSocket> sockets;
  std::vector<ServerAdmin> admin_states;  // servers that an operator has disabled
  std::vector<Pause> pauses{};
  std::vector<Generation> generations{};  // the older processes, the oldest first
  uint64_t ids_above = 0;                 // the new process gives its sessions greater ids
};

std::string WriteHandoverNote(const HandoverNote& note);
// As WriteHandoverNote(); if the text is too long, writes the rest to a file that `rest` owns.
Result<std::string> WriteShortHandoverNote(const HandoverNote& note, Fd* rest);
// Closes the file with the rest.
Result<HandoverNote> ReadHandoverNote(std::string_view text);

}  // namespace rum
