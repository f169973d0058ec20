// A module together with one configuration made of its options. Sessions share it; the module's
// config_free is called when the last one lets go.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "module/loader.h"

namespace rum {

class ModuleConfig {
 public:
  // [main] `values` are in the order of the module's options; none: not given. Defaults are filled
  // in here.
  static Result<std::shared_ptr<const ModuleConfig>> Make(
      std::shared_ptr<const Module> module, const std::vector<std::optional<std::string>>& values);
  ~ModuleConfig();
  ModuleConfig(const ModuleConfig&) = delete;

  const rum_module& module() const { return module_->table(); }
  const Module& loaded() const { return *module_; }
  const void* get() const { return config_; }

 private:
  explicit ModuleConfig(std::shared_ptr<const Module> module) : module_(std::move(module)) {}

  std::shared_ptr<const Module> module_;
  void* config_ = nullptr;
};

// Checks a value against the option's type and gives it the form that the module is promised: a
// duration in milliseconds, a flag as "1".
Result<std::string> CheckOptionValue(const rum_option& option, const std::string& value);

}  // namespace rum
