// The table of calls that rum hands to modules.
#pragma once

#include "rum/module.h"

namespace rum {

extern const rum_host kHost;

}  // namespace rum
