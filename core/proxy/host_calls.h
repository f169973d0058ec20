// The table of calls that rum hands to modules.
#pragma once

#include <string>
#include <vector>

#include "rum/module.h"

namespace rum {

// [main, before the module's first configuration that serves] What "rum.process/1" tells.
void SetUserNames(const std::vector<std::string>& names);

extern const rum_host kHost;

}  // namespace rum
