// Reads the rows of a module's table: checks what rum/module.h says of options and metrics, and
// turns option texts into the values that config_new gets.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "rum/module.h"

namespace rum {

// The smaller of the two sizes over zeroes: hooks that the module does not have are NULL.
rum_module CopyModuleTable(const rum_module& table);

// Names, types, choices and defaults of all rows.
Status CheckModuleRows(const rum_module& module);

std::vector<rum_option> ModuleOptions(const rum_module& module);
std::vector<rum_metric> ModuleMetrics(const rum_module& module);

// One value for each row: the given text, else the default, else nothing. Durations come out in
// milliseconds. An error names the option and what it takes.
Result<std::vector<std::optional<std::string>>> OptionValues(
    const rum_module& module, const std::map<std::string, std::string>& given);

}  // namespace rum
