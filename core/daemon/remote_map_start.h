// Makes the remote sources of -M from the settings: reads their files, while the process may.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "lookup/remote_map.h"
#include "settings/settings.h"

namespace rum {

// [main] nullptr: -M names no remote source. Errors name the option.
Result<std::unique_ptr<RemoteMap>> MakeRemoteMap(const Settings& settings, Resolver& resolver);

// [main, without other threads] For --check: asks each remote source for the marker of its map, and
// returns "SOURCE: why" for those that do not answer in time.
Result<std::vector<std::string>> FindDownSources(const Settings& settings);

}  // namespace rum
