#include "check/module_table.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <set>
#include <string_view>

#include "base/clock.h"

namespace rum {
namespace {

Error Bad(std::string text) { return Error{Fault::kModule, std::move(text)}; }

bool Lower(char c) { return c >= 'a' && c <= 'z'; }

bool MetricName(std::string_view name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return Lower(c) || (c >= '0' && c <= '9') || c == '_';
  });
}

// Rows of a table whose size may differ from this program's.
template <class Row>
std::vector<Row> CopyRows(const Row* rows, size_t count, size_t size) {
  std::vector<Row> out(count);
  const char* from = reinterpret_cast<const char*>(rows);
  for (size_t i = 0; i < count; ++i) {
    std::memset(&out[i], 0, sizeof(Row));
    std::memcpy(&out[i], from + i * size, std::min(size, sizeof(Row)));
  }
  return out;
}

bool OneOf(std::string_view word, std::string_view choices) {
  for (;;) {
    size_t bar = choices.find('|');
    if (word == choices.substr(0, bar)) return true;
    if (bar == choices.npos) return false;
    choices.remove_prefix(bar + 1);
  }
}

Result<std::string> CheckValue(const rum_option& option, const std::string& text) {
  std::string name = "--" + std::string(option.name);
  switch (option.type) {
    case RUM_OPTION_CHOICE:
      if (OneOf(text, option.value)) return text;
      return Bad(name + " takes one of " + option.value + ", not '" + text + "'");
    case RUM_OPTION_FLAG:
      if (text.empty() || text == "1") return std::string("1");
      return Bad(name + " takes no value");
    case RUM_OPTION_NUMBER: {
      int64_t number = -1;
      auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
      if (error == std::errc() && end == text.data() + text.size() && number >= 0) return text;
      return Bad(name + " takes a decimal number of 0 or more, not '" + text + "'");
    }
    case RUM_OPTION_DURATION: {
      auto duration = ParseDuration(text);
      if (!duration) return Bad(name + ": " + duration.error().text);
      return std::to_string(duration->count());
    }
    default:
      return text;
  }
}

}  // namespace

rum_module CopyModuleTable(const rum_module& table) {
  rum_module module;
  std::memset(&module, 0, sizeof module);
  std::memcpy(&module, &table, std::min<size_t>(table.struct_size, sizeof module));
  return module;
}

Status CheckModuleRows(const rum_module& module) {
  std::string name = module.name;
  for (const rum_option& option : ModuleOptions(module)) {
    std::string_view word = option.name ? option.name : "";
    if (word != name && !word.starts_with(name + "-")) {
      return Bad("option '" + std::string(word) + "' does not start with the module's name");
    }
    std::string which = std::string("option '") + option.name + "' ";
    if (!option.help || !*option.help) return Bad(which + "has no help");
    if (option.type > RUM_OPTION_DURATION) return Bad(which + "has a type that rum does not know");
    if (option.type == RUM_OPTION_CHOICE && !option.value) return Bad(which + "has no choices");
    if (option.type == RUM_OPTION_FLAG && option.default_value) {
      return Bad(which + "is a flag with a default");
    }
    if (option.default_value) {
      auto value = CheckValue(option, option.default_value);
      if (!value) return Bad(which + "has a bad default: " + value.error().text);
    }
  }
  std::set<std::string_view> names;
  for (const rum_metric& metric : ModuleMetrics(module)) {
    std::string_view text = metric.name ? metric.name : "";
    if (!names.insert(text).second) return Bad("two metrics '" + std::string(text) + "'");
    if (!MetricName(text) || !text.starts_with(name + "_")) {
      return Bad("metric '" + std::string(text) +
                 "' is not a word of a-z, 0-9 and _ that starts with the module's name");
    }
    if (!metric.help || !*metric.help) {
      return Bad("metric '" + std::string(text) + "' has no help");
    }
  }
  return Ok();
}

std::vector<rum_option> ModuleOptions(const rum_module& module) {
  return CopyRows(module.options, module.option_count, module.option_size);
}

std::vector<rum_metric> ModuleMetrics(const rum_module& module) {
  return CopyRows(module.metrics, module.metric_count, module.metric_size);
}

Result<std::vector<std::optional<std::string>>> OptionValues(
    const rum_module& module, const std::map<std::string, std::string>& given) {
  std::vector<std::optional<std::string>> values;
  size_t used = 0;
  for (const rum_option& option : ModuleOptions(module)) {
    auto found = given.find(option.name);
    const char* text = option.default_value;
    if (found != given.end()) {
      ++used;
      text = found->second.c_str();
    }
    if (!text) {
      values.emplace_back();
      continue;
    }
    auto value = CheckValue(option, text);
    if (!value) return value.error();
    values.push_back(std::move(*value));
  }
  if (used != given.size()) {
    for (const auto& [name, text] : given) {
      bool known = false;
      for (const rum_option& option : ModuleOptions(module)) known |= name == option.name;
      if (!known) return Bad("the module " + std::string(module.name) + " has no option --" + name);
    }
  }
  return values;
}

}  // namespace rum
