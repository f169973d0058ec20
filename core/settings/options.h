// The command line: rum's own options, then the options of the module.
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
#include "settings/option_origins.h"
#include "settings/settings.h"

namespace rum {

class Module;

struct CommandLine {
  std::shared_ptr<const Settings> settings;
  std::shared_ptr<const Module> module;
  OptionOrigins origins;
  std::string text;  // the output of --help or --version: print it and exit with 0
};

// What must be done before a module is loaded, since the module may start threads.
struct BeforeModule {
  bool background = false;  // a process that is to serve goes to the background
  bool other_user = false;  // --user is given
};

// [main] Parses the command line and loads the module that it names, passing `host` to it, or uses
// `loaded`. Calls `prepare` before it loads a module. The error contains all errors found, one per
// line.
Result<CommandLine> ReadCommandLine(int argc, char** argv, const rum_host& host,
                                    std::shared_ptr<const Module> loaded = nullptr,
                                    std::function<Status(const BeforeModule&)> prepare = {});

// Returns `running` with one limit (an option of the limits group) set to `value`.
Result<std::shared_ptr<const Settings>> WithLimit(const Settings& running,
                                                  const std::string& option,
                                                  const std::string& value);

// Settings that an operator changed at run time. They hold until the configuration of the same
// option changes.
struct ByHand {
  std::map<std::string, std::string> limits;  // by option name
  std::optional<log::Level> level;

  // Drops the changes of options whose configuration has changed, and returns these options.
  std::vector<std::string> Forget(const std::vector<std::string>& applied);
  // Returns the configured settings with these changes.
  std::shared_ptr<const Settings> Over(std::shared_ptr<const Settings> configured) const;
};

// The effect of settings that were read again.
struct Reload {
  // The running settings with all changes that apply without a restart.
  std::shared_ptr<const Settings> settings;
  std::vector<std::string> applied;  // long names of changed options that apply now
  std::vector<std::string> kept;     // long names of changed options that need a new process
};
// `running`: the previous configuration.
Reload PlanReload(const Settings& running, const Settings& fresh);

}  // namespace rum
