// Makes the exchange with other processes (--share) from the settings: reads its files, while the
// process may.
#pragma once

#include <string_view>

#include "base/result.h"
#include "settings/settings.h"

namespace rum {

class Proxy;

// What is said without --share-key-file.
inline constexpr std::string_view kNothingAsked =
    "--share: without --share-key-file, requests to cancel do not reach sessions of other "
    "processes";

// [main] Gives them to the proxy, if --share is given. Errors name the option.
Status MakeShare(const Settings& settings, Proxy& proxy);
// [main] Starts what MakeShare() has made.
Status StartShare(Proxy& proxy);

// [main] For --check: what MakeShare() would say.
Status CheckShare(const Settings& settings);

}  // namespace rum
