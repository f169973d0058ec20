// Finds a module's file, opens it and takes its table, or says why not.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "rum/module.h"

namespace rum {

// A loaded module. It stays loaded until the process ends.
class Module {
 public:
  // [main] `name` is a file in `directory`, or with a '/' a path taken as it is; in a static build
  // the modules inside are looked at first. Calls the module's init with `host`.
  static Result<std::shared_ptr<const Module>> Load(const std::string& name,
                                                    const std::string& directory,
                                                    const rum_host& host);

  // A module that is part of the program already, such as one made by a test; init is not called.
  static Result<std::shared_ptr<const Module>> Of(const rum_module& table);

  // All members of this version; those that the module does not have are NULL.
  const rum_module& table() const { return table_; }
  // The rows of its tables, whatever size of row it was built with.
  rum_option option(size_t i) const;
  rum_metric metric(size_t i) const;

 private:
  Module() = default;
  rum_module table_ = {};
};

// [any] Whether rum itself has this metric, by its name in /metrics.
bool IsCoreMetric(std::string_view name);

// [any] Takes a module's table over zeroes and judges it; `file` is for the sentence of a refusal.
Result<rum_module> AcceptModuleTable(const rum_module* table, const std::string& file);

// The module directory: `option` if not empty, else $RUM_MODULE_DIR, else the installed one.
std::string ModuleDirectory(const std::string& option);

}  // namespace rum
