// Makes the exchange with other processes (--share) from the settings: reads its files, while the
// process may.
#pragma once

#include <memory>

#include "base/result.h"
#include "settings/settings.h"
#include "share/share.h"

namespace rum {

class Proxy;

// [main] nullptr: --share is not given. Errors name the option.
Result<std::unique_ptr<Share>> MakeShare(const Settings& settings, Proxy& proxy);

// [main] For --check: what MakeShare() would say.
Status CheckShare(const Settings& settings);

}  // namespace rum
