// A session without a client, in which rum checks a server, and its outcome.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/address.h"

namespace rum {

struct ProbeOutcome {
  uint32_t reason = 0;  // RUM_CLOSE_PROBED: the server is up
  std::string text;     // the module's text
  std::string peer;     // the connected address; empty: none
  uint64_t micros = 0;  // from start to end
  std::vector<std::pair<std::string, std::string>> notes;
  std::vector<Address> route;  // the module's destination, if that was the question
};

struct Probe {
  std::optional<Address> destination;  // nullopt: only find the destination of `user`
  bool is_default = false;
  std::optional<std::string> user;
  std::function<void(ProbeOutcome)> done;  // [any] Called once, unless the process ends before.
  std::vector<Address> route;              // as in ProbeOutcome
};

}  // namespace rum
