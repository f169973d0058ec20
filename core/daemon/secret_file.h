// Passwords and tokens in files.
#pragma once

#include <string>

#include "base/result.h"

namespace rum {

// The first line of a file that only its owner should be able to read; empty without a path. Errors
// name the option, and never what is in the file.
Result<std::string> ReadSecret(const std::string& option, const std::string& path);

}  // namespace rum
