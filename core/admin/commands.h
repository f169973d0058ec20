// What an operator may do on --control, and the lists that can be asked for: each a row of a table,
// with the words it takes.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "admin/request.h"
#include "base/log.h"
#include "base/result.h"

namespace rum {

struct Overview;

// [main] What the commands do to the process.
struct Actions {
  std::function<Status()> reload;   // as SIGHUP
  std::function<Status()> upgrade;  // as SIGUSR2: begins it
  std::function<void()> stop;       // as SIGTERM
  std::function<Status(log::Level)> set_log_level;
  // Until the configuration is read again and says something else, or the process ends.
  std::function<Status(const std::string& option, const std::string& value)> set_limit;
};

// [main] Answers, perhaps later. False: there is no such list.
bool AnswerList(const Overview& overview, const std::shared_ptr<Request>& request);
// [main] The same for a command.
bool AnswerCommand(const Overview& overview, const Actions& actions,
                   const std::shared_ptr<Request>& request);

}  // namespace rum
