// The table of host calls for modules.
#pragma once

#include <string>
#include <vector>

#include "rum/module.h"

namespace rum {

// [main, before the module's first configuration that serves] Sets the names for "rum.process/1".
void SetUserNames(const std::vector<std::string>& names);

extern const rum_host kHost;

}  // namespace rum
