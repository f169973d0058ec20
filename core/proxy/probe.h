// A session without a client: which server rum asks on its own account, and what came of it.
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
  std::string text;     // the module's words
  std::string peer;     // what was connected to; empty: nothing was
  uint64_t micros = 0;  // from the beginning to the end
  std::vector<std::pair<std::string, std::string>> notes;
  std::vector<Address> route;  // where the module would go, if that was asked
};

struct Probe {
  std::optional<Address> destination;  // nothing: only where `user` would go is asked
  bool is_default = false;
  std::optional<std::string> user;
  std::function<void(ProbeOutcome)> done;  // [any] Once, unless the process ends before.
  std::vector<Address> route;              // as in the outcome
};

}  // namespace rum
