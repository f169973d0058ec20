// `rumctl unblock`: ends the block of an address, here and in the processes that share limits.
#pragma once

#include <string>

#include "base/result.h"

namespace rum {

class Proxy;

// [main] `address`: an IP address, or a network as it is blocked. Returns what was done.
Result<std::string> Unblock(Proxy& proxy, const std::string& address);

}  // namespace rum
