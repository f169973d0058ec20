// Makes the remote sources of -M from the settings: reads their files, while the process may.
#pragma once

#include <memory>

#include "base/result.h"
#include "lookup/remote_map.h"
#include "settings/settings.h"

namespace rum {

// [main] nullptr: -M names no remote source. Errors name the option.
Result<std::unique_ptr<RemoteMap>> MakeRemoteMap(const Settings& settings, Resolver& resolver);

}  // namespace rum
