// --explain: what would become of a user's login, told without serving anybody.
#pragma once

#include "settings/options.h"

namespace rum {

// [main] Prints the user's record, whether the rules let him in, where he would go, and what those
// servers say; asks them for some seconds at most. Returns the exit code: 0 if a login is possible
// as far as can be seen without the password, 1 if not.
int Explain(const CommandLine& line);

}  // namespace rum
