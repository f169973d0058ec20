// The lists and commands of the HTTP interface: tables of paths and the query parameters that each
// accepts. Commands are served on --control only.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "admin/request.h"
#include "base/log.h"
#include "base/result.h"

namespace rum {

struct Overview;
class UserHistory;

// [main] The effects of the commands on the process.
struct Actions {
  // Called once, possibly later, with the result. Not called if the process ends first.
  using Answer = std::function<void(const Status& status, const std::string& done)>;
  std::function<void(Answer)> reload;   // like SIGHUP
  std::function<void(Answer)> upgrade;  // like SIGUSR2
  std::function<void()> stop;           // like SIGTERM
  // Calls `done` when a change of the map that was made before is in use.
  std::function<void(std::function<void()> done)> look_at_map;
  std::function<Status(log::Level)> set_log_level;
  // Holds until a reload finds another value in the configuration, or the process ends.
  std::function<Status(const std::string& option, const std::string& value)> set_limit;
};

// [main] Answers the request, possibly later. Returns false if there is no such list.
bool AnswerList(const Overview& overview, const UserHistory& users,
                const std::shared_ptr<Request>& request);
// [main] As AnswerList(), for commands.
bool AnswerCommand(const Overview& overview, const Actions& actions,
                   const std::shared_ptr<Request>& request);

}  // namespace rum
