// What the old process tells the new one in the environment: which descriptor is what.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "base/fd.h"
#include "base/result.h"
#include "net/inherited_sockets.h"
#include "upstream/server_health.h"

namespace rum {

inline constexpr const char* kHandoverVariable = "RUM_HANDOVER";

// Written as
// "ready:7,stderr:8,map:,pidfile:9,own:5:tcp:0.0.0.0:3306,given:6:sock:/run/x,drain:tcp:db1:3306";
// in an address ',', '%' and control characters stand as %XX. "rest:9" is a file with more entries:
// a variable of the environment has at most 128 KiB.
struct HandoverNote {
  struct ServerAdmin {
    std::string server;
    AdminState state;
  };
  int ready = -1;         // the pipe that the new process reports on
  int error_output = -1;  // what is to be its standard error
  bool has_map = false;   // the old process has a user map: without one, nothing is taken over
  int pidfile = -1;       // locked; -1: there is none
  std::vector<SharedSocket> sockets;
  std::vector<ServerAdmin> admin_states;  // servers that an operator has taken out of use
};

std::string WriteHandoverNote(const HandoverNote& note);
// The same, or, if that is too long, with a file for the rest, which `rest` owns.
Result<std::string> WriteShortHandoverNote(const HandoverNote& note, Fd* rest);
// Closes the file with the rest.
Result<HandoverNote> ReadHandoverNote(std::string_view text);

}  // namespace rum
