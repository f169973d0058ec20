#include "module/loader.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <cstring>
#include <fstream>
#include <string>

#include "proxy/host_calls.h"
#include "support/folder.h"

namespace rum {
namespace {

using test::Folder;

constexpr char kFolder[] = RUM_TEST_MODULES;

// The sentence of the refusal, without the file's name at its beginning.
std::string Refusal(const std::string& name, const std::string& folder = kFolder) {
  auto module = Module::Load(name, folder, kHost);
  EXPECT_FALSE(module.ok()) << name << " was loaded";
  if (module) return "";
  EXPECT_EQ(module.error().fault, Fault::kModule);
  std::string path = name.find('/') == name.npos ? folder + "/" + name : name;
  EXPECT_TRUE(module.error().text.find(path + ": ") != std::string::npos) << module.error().text;
  return module.error().text.substr(module.error().text.find(path) + path.size() + 2);
}

TEST(Loader, LoadsAModuleFromItsFolder) {
  auto module = Module::Load("good.so", kFolder, kHost);
  ASSERT_TRUE(module.ok()) << module.error().text;
  EXPECT_STREQ((*module)->table().name, "good");
  EXPECT_STREQ((*module)->table().version, "1.2.3");
  EXPECT_EQ((*module)->table().option_count, 5u);
  EXPECT_STREQ((*module)->option(1).value, "red|green");
  EXPECT_EQ((*module)->table().timeout, nullptr);
}

TEST(Loader, TakesANameWithASlashAsAPath) {
  auto module = Module::Load(std::string(kFolder) + "/good.so", "/nonexistent", kHost);
  EXPECT_TRUE(module.ok()) << module.error().text;
}

TEST(Loader, NeverLooksElsewhere) {
  // A module whose name is that of a library of the system.
  Folder folder;
  EXPECT_NE(Refusal("libc.so.6", folder.path()).find("no such file"), std::string::npos);
  ::setenv("LD_LIBRARY_PATH", kFolder, 1);
  EXPECT_NE(Refusal("good.so", folder.path()).find("no such file"), std::string::npos);
  ::unsetenv("LD_LIBRARY_PATH");
}

TEST(Loader, TheFolderIsTheOptionThenTheEnvironmentThenTheInstalledOne) {
  ::setenv("RUM_MODULE_DIR", "/from/environment", 1);
  EXPECT_EQ(ModuleDirectory("/from/option"), "/from/option");
  EXPECT_EQ(ModuleDirectory(""), "/from/environment");
  ::setenv("RUM_MODULE_DIR", "", 1);
  EXPECT_EQ(ModuleDirectory(""), RUM_MODULE_DIR);
  ::unsetenv("RUM_MODULE_DIR");
  EXPECT_EQ(ModuleDirectory(""), RUM_MODULE_DIR);
}

TEST(Loader, NamesTheModulesThatThereAreInsteadOfAMissingOne) {
  Folder folder;
  EXPECT_NE(Refusal("mysql", folder.path()).find("no such file, nor another module"),
            std::string::npos);
  for (const char* name : {"b.so", "a.so", "a.la"}) std::ofstream(folder / name) << "x";
  EXPECT_NE(Refusal("a", folder.path()).find("no such file; there are a.so, b.so;"),
            std::string::npos);
  EXPECT_EQ(Module::Load("./missing.so", kFolder, kHost).error().text,
            "./missing.so: no such file");
}

TEST(Loader, SaysTheTrueReasonWhyAFileCannotBeLoaded) {
  EXPECT_NE(Refusal("missing.so").find("no such file"), std::string::npos);
  EXPECT_NE(
      Refusal("needs_what_is_not_there.so").find("undefined symbol: nobody_has_this_function"),
      std::string::npos);
  EXPECT_NE(Refusal("no_symbol.so").find("no symbol rum_module_v1"), std::string::npos);
  Folder folder;
  std::ofstream(folder / "text.so") << std::string(4096, 'x');
  EXPECT_NE(Refusal("text.so", folder.path()).find("invalid ELF header"), std::string::npos);
  std::ofstream(folder / "empty.so") << "";
  EXPECT_NE(Refusal("empty.so", folder.path()), "");
  EXPECT_NE(Refusal(folder.path() + "/"), "");
}

TEST(Loader, RefusesModulesOfAnotherVersion) {
  EXPECT_NE(Refusal("other_abi.so").find("version 99"), std::string::npos);
  std::string newer = Refusal("wants_newer_rum.so");
  EXPECT_NE(newer.find("needs a newer rum (host table " + std::to_string(sizeof(rum_host) + 8) +
                       " bytes, have " + std::to_string(sizeof(rum_host)) + ")"),
            std::string::npos)
      << newer;
}

TEST(Loader, TellsWhyAModuleDoesNotStart) {
  EXPECT_EQ(Refusal("init_fails.so"), "the moon is not full");
  EXPECT_NE(Refusal("init_is_silent.so").find("gave no error text"), std::string::npos);
  EXPECT_EQ(Refusal("init_overfills.so").find_first_not_of('x'), std::string::npos);
}

TEST(Loader, MayLoadAModuleTwice) {
  EXPECT_TRUE(Module::Load("good.so", kFolder, kHost).ok());
  EXPECT_TRUE(Module::Load("good.so", kFolder, kHost).ok());
}

TEST(Host, IsATableWithoutHoles) {
  EXPECT_EQ(kHost.struct_size, sizeof(rum_host));
  EXPECT_EQ(kHost.abi, RUM_MODULE_ABI);
  EXPECT_STRNE(kHost.version, "");
  const auto* pointers = reinterpret_cast<void* const*>(&kHost.send);
  size_t count = (sizeof(rum_host) - offsetof(rum_host, send)) / sizeof(void*);
  for (size_t i = 0; i < count; ++i) EXPECT_NE(pointers[i], nullptr) << i;
  EXPECT_EQ(kHost.extension("rum.nothing/1"), nullptr);
  EXPECT_EQ(kHost.extension(""), nullptr);
  EXPECT_EQ(kHost.extension(nullptr), nullptr);
}

// -- tables ---------------------------------------------------------------------------------------

// A table that is accepted, to be spoilt.
class Table : public testing::Test {
 protected:
  Table() {
    table_.struct_size = sizeof table_;
    table_.abi = RUM_MODULE_ABI;
    table_.host_size_min = sizeof(rum_host);
    table_.name = "test";
    table_.option_size = sizeof(rum_option);
    table_.metric_size = sizeof(rum_metric);
  }
  std::string Refusal() {
    auto accepted = AcceptModuleTable(&table_, "file.so");
    EXPECT_FALSE(accepted.ok()) << "was accepted";
    if (accepted) return "";
    EXPECT_TRUE(accepted.error().text.starts_with("file.so: ")) << accepted.error().text;
    return accepted.error().text;
  }
  bool Accepted() { return AcceptModuleTable(&table_, "file.so").ok(); }
  void SetOption(rum_option option) {
    option_ = option;
    table_.options = &option_;
    table_.option_count = 1;
  }
  void SetMetric(rum_metric metric) {
    metric_ = metric;
    table_.metrics = &metric_;
    table_.metric_count = 1;
  }

  rum_module table_ = {};
  rum_option option_ = {};
  rum_metric metric_ = {};
};

TEST_F(Table, IsAcceptedWithNothingButItsHead) { EXPECT_TRUE(Accepted()); }

TEST_F(Table, OfAnImpossibleSizeIsRefused) {
  for (uint32_t size : {0u, 1u, 8u, 15u, 65537u, 0xffffffffu}) {
    table_.struct_size = size;
    EXPECT_NE(Refusal().find(std::to_string(size)), std::string::npos);
  }
}

TEST_F(Table, ThatEndsInTheMiddleOfAPointerIsRefused) {
  table_.struct_size = offsetof(rum_module, init) + 4;
  Refusal();
}

TEST_F(Table, OfAnotherVersionIsRefusedBeforeTheRestIsLookedAt) {
  table_.abi = 2;
  table_.name = nullptr;
  EXPECT_NE(Refusal().find("version 2"), std::string::npos);
  table_.abi = 0;
  EXPECT_NE(Refusal().find("version 0"), std::string::npos);
}

TEST_F(Table, ThatWantsMoreHostThanThereIsIsRefused) {
  table_.host_size_min = sizeof(rum_host) + 1;
  EXPECT_NE(Refusal().find("newer rum"), std::string::npos);
  table_.host_size_min = sizeof(rum_host) - 8;
  EXPECT_TRUE(Accepted());
}

TEST_F(Table, ThatIsLongerIsReadAsFarAsItIsKnown) {
  struct {
    rum_module known;
    void* unknown[4];
  } longer = {table_, {&longer, &longer, &longer, &longer}};
  longer.known.struct_size = sizeof longer;
  auto accepted = AcceptModuleTable(&longer.known, "file.so");
  ASSERT_TRUE(accepted.ok()) << accepted.error().text;
  EXPECT_EQ(accepted->stats, nullptr);
}

TEST_F(Table, ThatIsShorterHasNullForTheRest) {
  table_.session_open = [](rum_session*, const void*, void*, void**) { return RUM_OK; };
  table_.stats = [](const void*, char*, size_t) { return size_t{0}; };
  table_.struct_size = offsetof(rum_module, stats);
  auto accepted = AcceptModuleTable(&table_, "file.so");
  ASSERT_TRUE(accepted.ok());
  EXPECT_NE(accepted->session_open, nullptr);
  EXPECT_EQ(accepted->stats, nullptr);
  table_.struct_size = offsetof(rum_module, session_open);
  EXPECT_EQ(AcceptModuleTable(&table_, "file.so")->session_open, nullptr);
}

TEST_F(Table, NeedsAName) {
  for (const char* name : {static_cast<const char*>(nullptr), "", "Test", "1test", "_test", "a-b",
                           "a b", "t\xc3\xa4st", "a/b"}) {
    table_.name = name;
    EXPECT_NE(Refusal().find("name"), std::string::npos);
  }
  table_.name = "a1_b";
  EXPECT_TRUE(Accepted());
}

TEST_F(Table, WithCountsButWithoutRowsIsRefused) {
  table_.option_count = 1;
  EXPECT_NE(Refusal().find("options"), std::string::npos);
  table_.option_count = 0;
  table_.metric_count = 1;
  EXPECT_NE(Refusal().find("metrics"), std::string::npos);
  table_.metrics = &metric_;
  table_.metric_size = 4;
  EXPECT_NE(Refusal().find("metrics"), std::string::npos);
}

TEST_F(Table, WithAFarewellThatIsMissingOrTooLongIsRefused) {
  table_.farewell_size = 5;
  EXPECT_NE(Refusal().find("farewell"), std::string::npos);
  table_.farewell = "QUIT!....";
  EXPECT_TRUE(Accepted());
  table_.farewell_size = RUM_MOST_FAREWELL + 1;
  EXPECT_NE(Refusal().find("farewell"), std::string::npos);
}

TEST_F(Table, JudgesItsOptions) {
  SetOption({"test-x", "X", nullptr, "help", RUM_OPTION_TEXT, 0});
  EXPECT_TRUE(Accepted());
  for (const char* name :
       {static_cast<const char*>(nullptr), "", "test x", "test=x", "Test-x", "test,x", "-test"}) {
    SetOption({name, "X", nullptr, "help", RUM_OPTION_TEXT, 0});
    Refusal();
  }
  SetOption({"test-x", nullptr, nullptr, "help", RUM_OPTION_CHOICE, 0});
  Refusal();
  SetOption({"test-x", "X", nullptr, "help", 5, 0});
  Refusal();
}

// Else an option could take the place of one of rum's own or of another module's.
TEST_F(Table, NamesOfOptionsAndMetricsBeginWithTheModules) {
  SetOption({"listen", "X", nullptr, "help", RUM_OPTION_TEXT, 0});
  EXPECT_NE(Refusal().find("begins with the module's"), std::string::npos);
  table_.option_count = 0;
  SetMetric({"sessions", "help"});
  EXPECT_NE(Refusal().find("begins with the module's"), std::string::npos);
  SetMetric({"test_sessions", "help"});
  EXPECT_TRUE(Accepted());
}

TEST_F(Table, JudgesItsMetrics) {
  for (const char* name : {static_cast<const char*>(nullptr), "", "test x", "test-x", "Test"}) {
    SetMetric({name, "help"});
    Refusal();
  }
}

TEST_F(Table, HasNoTwoMetricsOfOneName) {
  const rum_metric rows[] = {{"test_a", "help"}, {"test_b", "help"}, {"test_a", "help"}};
  table_.metrics = rows;
  table_.metric_count = 2;
  EXPECT_TRUE(Accepted());
  table_.metric_count = 3;
  EXPECT_NE(Refusal().find("metric 2 has the name of another one"), std::string::npos);
}

TEST_F(Table, HasNoMetricOfRums) {
  table_.name = "sessions";
  SetMetric({"sessions_own", "help"});
  EXPECT_TRUE(Accepted());
  SetMetric({"sessions_ended", "help"});
  EXPECT_NE(Refusal().find("metric 0 has the name of one of rum's"), std::string::npos);
  EXPECT_TRUE(IsCoreMetric("rum_sessions_total"));
  EXPECT_FALSE(IsCoreMetric("rum_mysql_kills_total"));
  EXPECT_FALSE(IsCoreMetric("sessions"));
}

TEST_F(Table, HasNoMetricThatSpoilsThePage) {
  SetMetric({"test_a", "help\nrum_ready 0"});
  EXPECT_NE(Refusal().find("line break"), std::string::npos);
  const std::string name = "test_" + std::string(60, 'x');
  SetMetric({name.c_str(), "help"});
  EXPECT_NE(Refusal().find("64 bytes"), std::string::npos);
  for (const char* bad : {"test_", "test", "testing"}) {
    SetMetric({bad, "help"});
    EXPECT_NE(Refusal().find("begins with the module's"), std::string::npos) << bad;
  }
  table_.metric_count = 1001;
  EXPECT_NE(Refusal().find("more than 1000"), std::string::npos);
}

TEST_F(Table, ReadsRowsOfAnotherSize) {
  struct LongRow {
    rum_option known;
    const char* unknown;
  } rows[2] = {{{"test-a", "A", "1", "first", RUM_OPTION_NUMBER, 0}, "?"},
               {{"test-b", "B", "2", "second", RUM_OPTION_TEXT, 'b'}, "?"}};
  table_.options = &rows[0].known;
  table_.option_count = 2;
  table_.option_size = sizeof(LongRow);
  struct ShortRow {
    const char* name;
  } metrics[2] = {{"test_one"}, {"test_two"}};
  table_.metrics = reinterpret_cast<const rum_metric*>(metrics);
  table_.metric_count = 2;
  table_.metric_size = sizeof(ShortRow);
  auto module = Module::Of(table_);
  ASSERT_TRUE(module.ok()) << module.error().text;
  EXPECT_STREQ((*module)->option(1).name, "test-b");
  EXPECT_STREQ((*module)->option(1).help, "second");
  EXPECT_EQ((*module)->option(1).short_name, static_cast<uint32_t>('b'));
  EXPECT_STREQ((*module)->metric(1).name, "test_two");
  EXPECT_EQ((*module)->metric(1).help, nullptr) << "not in a row of that size";
}

}  // namespace
}  // namespace rum
