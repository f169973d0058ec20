// --explain: predicts the result of a user's login without serving clients.
#pragma once

#include "settings/options.h"

namespace rum {

// [main] Prints the user's record, the result of its rules, the route and the state of its servers,
// which takes a few seconds at most. Returns the exit code: 0 if the login can succeed, as far as
// can be determined without the password, else 1.
int Explain(const CommandLine& line);

}  // namespace rum
