// Reads the rows of a module's table: checks them by the rules of rum/module.h for options and
// metrics, and turns option texts into the values for config_new.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "rum/module.h"

namespace rum {

// Copies as many bytes as both sizes allow; the rest is zero, so missing hooks are NULL.
rum_module CopyModuleTable(const rum_module& table);

// Checks names, types, choices and defaults of all rows.
Status CheckModuleRows(const rum_module& module);

std::vector<rum_option> ModuleOptions(const rum_module& module);
std::vector<rum_metric> ModuleMetrics(const rum_module& module);

// One value per row: the given text, else the default, else nullopt. Durations become milliseconds.
// An error names the option and the values that it takes.
Result<std::vector<std::optional<std::string>>> OptionValues(
    const rum_module& module, const std::map<std::string, std::string>& given);

}  // namespace rum
