// What a request for a pause of new logins, or for its end, says.
#pragma once

#include <optional>
#include <string>

#include "admin/request.h"
#include "base/address.h"
#include "base/clock.h"
#include "base/result.h"
#include "proxy/login_pauses.h"

namespace rum {

struct PauseOf {
  LoginPauses::Kind kind;
  std::string name;                    // as sessions have it
  std::optional<Address> server = {};  // nullopt: of a user
};

// [main]
Result<PauseOf> ReadPauseOf(const Request& request);
// The default if the request names no time.
Result<Millis> ReadPauseTime(const Request& request);

}  // namespace rum
