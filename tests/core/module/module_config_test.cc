#include "module/module_config.h"

#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <string>
#include <vector>

namespace rum {
namespace {

// What config_new was given; "(null)" for NULL.
std::vector<std::string> given;
int freed = 0;
std::function<int32_t(void** config, char* error, size_t size)> answer;

int32_t ConfigNew(const char* const* values, size_t count, void** config, char* error,
                  size_t size) {
  given.clear();
  for (size_t i = 0; i < count; ++i) given.push_back(values[i] ? values[i] : "(null)");
  return answer ? answer(config, error, size) : (*config = &given, RUM_OK);
}
void ConfigFree(void* config) {
  EXPECT_EQ(config, &given);
  ++freed;
}

class Config : public testing::Test {
 protected:
  Config() {
    freed = 0;
    answer = {};
    rum_module table = {};
    table.struct_size = sizeof table;
    table.abi = RUM_MODULE_ABI;
    table.name = "test";
    table.options = options_.data();
    table.option_count = options_.size();
    table.option_size = sizeof(rum_option);
    table.config_new = ConfigNew;
    table.config_free = ConfigFree;
    auto module = Module::Of(table);
    EXPECT_TRUE(module.ok()) << module.error().text;
    module_ = *module;
  }
  using Values = std::vector<std::optional<std::string>>;

  const std::vector<rum_option> options_ = {
      {"test-text", "TEXT", nullptr, "", RUM_OPTION_TEXT, 0},
      {"test-mode", "red|green", "red", "", RUM_OPTION_CHOICE, 0},
      {"test-flag", nullptr, nullptr, "", RUM_OPTION_FLAG, 0},
      {"test-number", "N", "7", "", RUM_OPTION_NUMBER, 0},
      {"test-time", "TIME", "2s", "", RUM_OPTION_DURATION, 0},
  };
  std::shared_ptr<const Module> module_;
};

TEST_F(Config, FillsInDefaultsInTheFormThatModulesArePromised) {
  auto config = ModuleConfig::Make(module_, {});
  ASSERT_TRUE(config.ok()) << config.error().text;
  EXPECT_EQ(given, (std::vector<std::string>{"(null)", "red", "(null)", "7", "2000"}));
  EXPECT_EQ((*config)->get(), &given);
}

TEST_F(Config, TakesWhatWasGiven) {
  auto config = ModuleConfig::Make(module_, Values{"", "green", "1", "0", "off"});
  ASSERT_TRUE(config.ok()) << config.error().text;
  EXPECT_EQ(given, (std::vector<std::string>{"", "green", "1", "0", "0"}));
}

TEST_F(Config, IsFreedWhenTheLastOneLetsGo) {
  auto config = ModuleConfig::Make(module_, {});
  auto first = *config, second = first;
  config = Error{};
  first.reset();
  EXPECT_EQ(freed, 0);
  second.reset();
  EXPECT_EQ(freed, 1);
}

TEST_F(Config, ThatIsRefusedIsNotFreedAndSaysWhy) {
  answer = [](void** config, char* error, size_t size) {
    *config = &answer;  // must not reach config_free
    std::strncpy(error, "too green", size);
    return RUM_E_FAILED;
  };
  auto config = ModuleConfig::Make(module_, {});
  ASSERT_FALSE(config.ok());
  EXPECT_EQ(config.error().fault, Fault::kConfig);
  EXPECT_EQ(config.error().text, "test: too green");
  EXPECT_EQ(freed, 0);
  answer = [](void**, char* error, size_t size) {
    std::memset(error, 'x', size);
    return RUM_E_FAILED;
  };
  EXPECT_EQ(ModuleConfig::Make(module_, {}).error().text.find_first_not_of('x', 6),
            std::string::npos);
  answer = [](void**, char*, size_t) { return RUM_E_FAILED; };
  EXPECT_NE(ModuleConfig::Make(module_, {}).error().text.find("refused"), std::string::npos);
}

TEST_F(Config, AWrongValueNeverReachesTheModule) {
  given = {"untouched"};
  auto config = ModuleConfig::Make(module_, Values{std::nullopt, "blue"});
  ASSERT_FALSE(config.ok());
  EXPECT_NE(config.error().text.find("--test-mode"), std::string::npos) << config.error().text;
  EXPECT_EQ(given, std::vector<std::string>{"untouched"});
}

// -- single values --------------------------------------------------------------------------------

std::string Checked(const rum_option& option, const std::string& value) {
  auto checked = CheckOptionValue(option, value);
  if (checked) return *checked;
  EXPECT_EQ(checked.error().fault, Fault::kUsage);
  EXPECT_TRUE(checked.error().text.starts_with("--" + std::string(option.name) + ": "))
      << checked.error().text;
  return "(refused)";
}

TEST(OptionValue, TextMayBeAnything) {
  rum_option text = {"o", "X", nullptr, "", RUM_OPTION_TEXT, 0};
  for (std::string value : {"", " ", "a|b", "-x", "\xff\n"}) EXPECT_EQ(Checked(text, value), value);
}

TEST(OptionValue, AChoiceIsOneOfTheWords) {
  rum_option choice = {"o", "red|green|dark blue", nullptr, "", RUM_OPTION_CHOICE, 0};
  for (std::string value : {"red", "green", "dark blue"}) EXPECT_EQ(Checked(choice, value), value);
  for (std::string value : {"", "re", "redd", "red|green", "blue", "RED", "|"}) {
    EXPECT_EQ(Checked(choice, value), "(refused)") << value;
  }
}

TEST(OptionValue, AFlagIsOne) {
  rum_option flag = {"o", nullptr, nullptr, "", RUM_OPTION_FLAG, 0};
  EXPECT_EQ(Checked(flag, "1"), "1");
}

TEST(OptionValue, ANumberIsDecimalAndBelowTwoToThe63) {
  rum_option number = {"o", "N", nullptr, "", RUM_OPTION_NUMBER, 0};
  EXPECT_EQ(Checked(number, "0"), "0");
  EXPECT_EQ(Checked(number, "9223372036854775807"), "9223372036854775807");
  for (std::string value : {"", "-1", "+1", " 1", "1 ", "0x10", "1.5", "1e3", "ten",
                            "9223372036854775808", "99999999999999999999999"}) {
    EXPECT_EQ(Checked(number, value), "(refused)") << value;
  }
  // A module reads digits only.
  EXPECT_EQ(Checked(number, "-0").find('-'), std::string::npos);
}

TEST(OptionValue, ADurationIsGivenInMilliseconds) {
  rum_option time = {"o", "TIME", nullptr, "", RUM_OPTION_DURATION, 0};
  EXPECT_EQ(Checked(time, "250ms"), "250");
  EXPECT_EQ(Checked(time, "1h"), "3600000");
  EXPECT_EQ(Checked(time, "off"), "0");
  for (std::string value : {"", "s", "6 s", "-1s"}) EXPECT_EQ(Checked(time, value), "(refused)");
}

}  // namespace
}  // namespace rum
