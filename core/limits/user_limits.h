// Session limits keyed by name: users, and servers with pending connections.
#pragma once

#include <string>
#include <string_view>

#include "base/keyed_hash.h"
#include "limits/keyed_limiter.h"

namespace rum {

using UserLimit = KeyLimit;
using NamedLimiter = KeyedLimiter<std::string, std::string_view, NameHash>;
using UserLimits = NamedLimiter;

}  // namespace rum
