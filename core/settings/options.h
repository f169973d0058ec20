// The command line: what rum was told to do. Own options first, then those the module declares.
#pragma once

#include <rum/module.h>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/log.h"
#include "base/result.h"
#include "settings/settings.h"

namespace rum {

class Module;

struct CommandLine {
  std::shared_ptr<const Settings> settings;
  std::shared_ptr<const Module> module;
  std::string text;  // --help or --version asked for this: print it and exit 0
};

// What must be done before a module is loaded, which may start threads.
struct BeforeModule {
  bool background = false;  // a process that is to serve goes to the background
  bool other_user = false;  // --user or --group
};

// [main] Reads the command line and loads the module it names, which gets `host`, or takes `loaded`
// for it. `prepare` is called before a module is loaded. The error's text may have several lines:
// every mistake that was found, one a line.
Result<CommandLine> ReadCommandLine(int argc, char** argv, const rum_host& host,
                                    std::shared_ptr<const Module> loaded = nullptr,
                                    std::function<Status(const BeforeModule&)> prepare = {});

// The running settings with one limit, an option of the group of limits, as `value` says.
Result<std::shared_ptr<const Settings>> WithLimit(const Settings& running,
                                                  const std::string& option,
                                                  const std::string& value);

// What an operator has changed in a running process. It holds until the configuration says
// something else of the same option.
struct ByHand {
  std::map<std::string, std::string> limits;  // by the option
  std::optional<log::Level> level;

  // Forgets what these options, which have changed, now say.
  void Forget(const std::vector<std::string>& applied);
  // The configured settings with these changes.
  std::shared_ptr<const Settings> Over(std::shared_ptr<const Settings> configured) const;
};

// What a running process makes of settings that were read again.
struct Reload {
  std::shared_ptr<const Settings> settings;  // those before, with what can change taken over
  std::vector<std::string> applied;          // long names of what has changed
  std::vector<std::string> kept;             // of what has changed and needs a new process
};
// `running` is what the configuration said before.
Reload PlanReload(const Settings& running, const Settings& fresh);

}  // namespace rum
