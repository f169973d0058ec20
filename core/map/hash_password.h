// Asks for a password, and hashes it as a map stores it.
#pragma once

#include <string>

#include "base/result.h"

namespace rum {

// Asks twice on a terminal, without an echo; otherwise reads one line of standard input. The secret
// as a map has it: * and 40 digits.
Result<std::string> HashOfPassword();

}  // namespace rum
