#include "admin/pause_request.h"

#include <utility>

namespace rum {

Result<PauseOf> ReadPauseOf(const Request& request) {
  auto user = request.Get("user"), server = request.Get("server");
  if (user.has_value() == server.has_value() || (user && user->empty())) {
    return Error{Fault::kUsage, "give either user=NAME or server=ADDRESS"};
  }
  if (user) return PauseOf{LoginPauses::Kind::kUser, std::move(*user)};
  auto address = ParseAddress(*server);
  if (!address) return Error{Fault::kUsage, "server: " + address.error().text};
  return PauseOf{LoginPauses::Kind::kServer, address->text(), *address};
}

Result<Millis> ReadPauseTime(const Request& request) {
  auto text = request.Get("time");
  if (!text) return Millis(LoginPauses::kDefault);
  auto time = ParseDuration(*text);
  if (time && time->count() > 0 && *time <= LoginPauses::kLongest) return *time;
  return Error{Fault::kUsage, "the time is at most 10m, such as 30s"};
}

}  // namespace rum
