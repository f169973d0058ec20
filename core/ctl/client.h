// Asks a running rum over the socket of --control.
#pragma once

#include <string>

#include "base/result.h"

namespace rum {

// Returns the body of the answer. Fault::kSystem: rum is unreachable; kConfig: rum refused.
// `seconds` bounds each wait for the socket; 0: no bound.
Result<std::string> Ask(const std::string& path, const char* method, const std::string& what,
                        int seconds = 0);

}  // namespace rum
