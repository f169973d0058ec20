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
  // Called once, perhaps later: what was done, or why not. Not at all when the process ends.
  using Answer = std::function<void(const Status& status, const std::string& done)>;
  std::function<void(Answer)> reload;   // as SIGHUP
  std::function<void(Answer)> upgrade;  // as SIGUSR2
  std::function<void()> stop;           // as SIGTERM
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
