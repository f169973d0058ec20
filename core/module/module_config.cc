#include "module/module_config.h"

#include <charconv>
#include <string_view>

#include "base/clock.h"
#include "module/hook.h"

namespace rum {
namespace {

bool IsChoice(std::string_view choices, std::string_view value) {
  while (true) {
    size_t bar = choices.find('|');
    if (choices.substr(0, bar) == value) return true;
    if (bar == choices.npos) return false;
    choices.remove_prefix(bar + 1);
  }
}

}  // namespace

Result<std::string> CheckOptionValue(const rum_option& option, const std::string& value) {
  auto wrong = [&](const std::string& why) {
    return Error{Fault::kUsage, "--" + std::string(option.name) + ": " + why};
  };
  switch (option.type) {
    case RUM_OPTION_FLAG:
      return std::string("1");
    case RUM_OPTION_CHOICE:
      if (option.value && IsChoice(option.value, value)) return value;
      return wrong("'" + value + "' is not one of " + (option.value ? option.value : ""));
    case RUM_OPTION_NUMBER: {
      int64_t number = -1;
      auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
      if (error == std::errc() && end == value.data() + value.size() && number >= 0) {
        return std::to_string(number);
      }
      return wrong("'" + value + "' is not a number of 0 or more");
    }
    case RUM_OPTION_DURATION: {
      auto duration = ParseDuration(value);
      if (!duration) return wrong(duration.error().text);
      return std::to_string(duration->count());
    }
    default:
      return value;
  }
}

Result<std::shared_ptr<const ModuleConfig>> ModuleConfig::Make(
    std::shared_ptr<const Module> module, const std::vector<std::optional<std::string>>& values) {
  auto config = std::shared_ptr<ModuleConfig>(new ModuleConfig(std::move(module)));
  const rum_module& table = config->module();
  std::vector<std::string> texts(table.option_count);
  std::vector<const char*> pointers(table.option_count, nullptr);
  for (size_t i = 0; i < table.option_count; ++i) {
    rum_option option = config->loaded().option(i);
    std::optional<std::string> value = i < values.size() ? values[i] : std::nullopt;
    if (!value && option.default_value) value = option.default_value;
    if (!value) continue;
    auto checked = CheckOptionValue(option, *value);
    if (!checked) return checked.error();
    texts[i] = std::move(*checked);
    pointers[i] = texts[i].c_str();
  }
  if (table.config_new) {
    InHook in(HookPlace::OfThread(), Hook::kConfigNew);
    char why[512] = "";
    int32_t status =
        table.config_new(pointers.data(), pointers.size(), &config->config_, why, sizeof why);
    if (status < 0) {
      config->config_ = nullptr;
      why[sizeof why - 1] = 0;
      return Error{Fault::kConfig,
                   std::string(table.name) + ": " + (*why ? why : "the configuration is refused")};
    }
  }
  return std::shared_ptr<const ModuleConfig>(std::move(config));
}

ModuleConfig::~ModuleConfig() {
  if (!config_ || !module().config_free) return;
  InHook in(HookPlace::OfThread(), Hook::kConfigFree);
  module().config_free(config_);
}

}  // namespace rum
