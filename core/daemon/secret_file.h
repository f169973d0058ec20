// Passwords and tokens in files.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"

namespace rum {

enum class OtherUsers : uint8_t {
  kWarn,    // logs a warning if they can read the file
  kRefuse,  // refuses a file that they can read or write
};

// The first line of a file that only its owner should be able to read; empty without a path. Errors
// name the option, and never what is in the file. No copy is left in memory but the result.
Result<std::string> ReadSecret(const std::string& option, const std::string& path,
                               OtherUsers others = OtherUsers::kWarn);

}  // namespace rum
