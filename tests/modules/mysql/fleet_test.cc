#include "mysql/fleet.h"

#include <gtest/gtest.h>
#include <rum/module.h>

#include <vector>

namespace rum::mysql {
namespace {

constexpr int64_t kStart = 1'800'000'000;
constexpr uint64_t kMySql8 = 0x9bfff7ff;
constexpr uint64_t kMariaDb = 0x1d81fff7fe;

Greeting Greets(const std::string& version, uint64_t capabilities = kMySql8, uint8_t charset = 255,
                const std::string& plugin = "caching_sha2_password") {
  Greeting greeting;
  greeting.version = version;
  greeting.capabilities = capabilities;
  greeting.charset = charset;
  greeting.plugin = plugin;
  return greeting;
}

Greeting MariaDb(const std::string& version, uint8_t charset = 8,
                 uint64_t capabilities = kMariaDb) {
  return Greets(version, capabilities, charset, "mysql_native_password");
}

class FleetTest : public testing::Test {
 protected:
  void Hear(const std::string& address, const Greeting& greeting,
            std::optional<bool> is_default = {}) {
    fleet_.Saw(view_, address, greeting, is_default, now_);
  }
  // A probe.
  void Probe(const std::string& address, const Greeting& greeting, bool is_default = false) {
    Hear(address, greeting, is_default);
  }
  Promise Promised() {
    auto promise = view_.Look(fleet_).promise;
    EXPECT_TRUE(promise);
    return promise.value_or(Promise{});
  }
  bool Nothing() { return !view_.Look(fleet_).promise; }
  size_t LinesWith(const std::string& word) {
    size_t count = 0;
    for (const std::string& line : log_) count += line.find(word) != line.npos;
    return count;
  }

  int64_t now_ = kStart;
  std::vector<std::string> log_, kept_;
  Fleet fleet_{[this](uint32_t, const std::string& text) { log_.push_back(text); },
               [this](const std::string& text) { kept_.push_back(text); }};
  Fleet::View view_;
};

TEST_F(FleetTest, PromisesWhatItsServersHave) {
  EXPECT_TRUE(Nothing());
  Hear("a:1", Greets("8.4.3"));
  EXPECT_EQ(Promised(), (Promise{.version = "8.4.3",
                                 .capabilities = 0x9bfff7ff,
                                 .charset = 255,
                                 .plugin = "caching_sha2_password"}));
  Hear("b:1", Greets("8.0.40", kMySql8 & ~kDeprecateEof));
  EXPECT_EQ(Promised().version, "8.0.40");
  EXPECT_EQ(Promised().capabilities, 0x9bfff7ff & ~kDeprecateEof);
}

TEST_F(FleetTest, OneServerCannotTakeAwayWhatEachServerHas) {
  for (int i = 0; i < 3; ++i) Hear("good:" + std::to_string(i), Greets("8.4.3"));
  Promise before = Promised();
  Hear("bad:1", Greets("3.0.1", kProtocol41 | kSecureConnection));
  Hear("bad:2", Greets("8.4.3", kMySql8 & ~kPluginAuth));
  Hear("bad:3", Greets("8.4.3", kMySql8 & ~kConnectWithDb));
  Hear("bad:4", Greets("5.5.6"));
  EXPECT_EQ(Promised(), before);
  EXPECT_EQ(fleet_.Summarize().servers, 7u);
  EXPECT_EQ(fleet_.Summarize().unsupported, 4u);
}

TEST_F(FleetTest, OneServerCanTakeAwayOnlyWhatWouldBeMisread) {
  for (int i = 0; i < 3; ++i) Hear("good:" + std::to_string(i), Greets("8.4.3"));
  Promise before = Promised();
  Hear("bad:1", Greets("5.5.7", kFloor, 33, "a_plugin_of_mine"));
  EXPECT_EQ(Promised().capabilities,
            before.capabilities & ~(kCompress | kDeprecateEof | kSessionTrack | kOptionalMetadata |
                                    kQueryAttributes));
  EXPECT_EQ(Promised().plugin, before.plugin);
  EXPECT_EQ(Promised().charset, before.charset);
}

TEST_F(FleetTest, WithNoSupportedServerTheConfigurationRules) {
  Hear("old:1", Greets("5.1.73", 0xf7ff));
  EXPECT_TRUE(Nothing());
}

TEST_F(FleetTest, TheServersOfTheOperatorCountWhateverTheyAre) {
  Probe("old:1", Greets("5.1.73", 0xf7ff), true);
  EXPECT_EQ(Promised().version, "5.1.73");
  EXPECT_EQ(Promised().capabilities & kPluginAuth, 0u);
  EXPECT_NE(Promised().capabilities & kConnectWithDb, 0u);
}

TEST_F(FleetTest, OneServerInAHundredDoesNotMoveTheVersion) {
  for (int i = 0; i < 98; ++i) Hear("good:" + std::to_string(i), Greets("8.4.3"));
  Hear("old:1", Greets("5.7.44"));
  EXPECT_EQ(Promised().version, "5.7.44") << "99 servers";
  Hear("good:98", Greets("8.4.3"));
  EXPECT_EQ(Promised().version, "8.4.3");
  Hear("old:2", Greets("5.7.43"));
  EXPECT_EQ(Promised().version, "5.7.44");
}

TEST_F(FleetTest, CharacterSetAndPluginAreThoseOfMostServersOrOfTheDefaultOnes) {
  Hear("a:1", MariaDb("5.5.5-10.11.19-MariaDB", 8));
  Hear("b:1", MariaDb("5.5.5-10.11.19-MariaDB", 45));
  Hear("c:1", MariaDb("5.5.5-10.11.19-MariaDB", 45));
  EXPECT_EQ(Promised().charset, 45);
  Probe("a:1", MariaDb("5.5.5-10.11.19-MariaDB", 8), true);
  EXPECT_EQ(Promised().charset, 8);
  Probe("b:1", MariaDb("5.5.5-10.11.19-MariaDB", 45), true);
  EXPECT_EQ(Promised().charset, 45) << "the default ones do not agree";
  EXPECT_EQ(Promised().plugin, "mysql_native_password");
}

TEST_F(FleetTest, ACharacterSetOfNoClientIsNotShown) {
  for (uint8_t charset : {0, 35, 54, 60})
    Hear("a:" + std::to_string(charset), Greets("8.4.3", kMySql8, charset));
  EXPECT_EQ(Promised().charset, 45);
  Hear("b:1", Greets("8.4.3", kMySql8, 8));
  EXPECT_EQ(Promised().charset, 8);
}

TEST_F(FleetTest, OnlyPluginsThatAreKnownAreNamed) {
  Hear("a:1", Greets("8.4.3", kMySql8, 255, "my_own_plugin"));
  EXPECT_EQ(Promised().plugin, "mysql_native_password");
}

TEST_F(FleetTest, TheFamilyIsToldByFlags) {
  Hear("a:1", MariaDb("5.5.5-10.0.0 MaxScale 24.02"));
  EXPECT_EQ(Promised().version, "5.5.5-10.0.0");
  Hear("b:1", MariaDb("5.5.5-10.11.19-MariaDB"));
  EXPECT_FALSE(view_.Look(fleet_).mixed);
  Hear("c:1", Greets("6.0.4 c3c7b1b@230314 sphinx", kMariaDb & 0xffffffff));
  EXPECT_TRUE(view_.Look(fleet_).mixed) << "LONG_PASSWORD is clear, and nothing else is of MariaDB";
}

TEST_F(FleetTest, AServerThatChangesIsFollowedOnceAMinute) {
  Hear("a:1", Greets("8.0.40"));
  Hear("a:1", Greets("8.4.3"));
  EXPECT_EQ(Promised().version, "8.0.40");
  now_ += 59;
  Hear("a:1", Greets("8.4.3"));
  EXPECT_EQ(Promised().version, "8.0.40");
  now_ += 1;
  Hear("a:1", Greets("8.4.3"));
  EXPECT_EQ(Promised().version, "8.4.3");
}

// 12 ms of CPU for each login it once cost, and a line in the log.
TEST_F(FleetTest, AServerThatChangesAllTheTimeCostsLittle) {
  for (int i = 0; i < 4000; ++i) Hear("s:" + std::to_string(i), Greets("8.4.3"));
  size_t lines = log_.size(), files = kept_.size();
  for (int i = 0; i < 100'000; ++i) Hear("s:7", Greets(i % 2 ? "8.0.40" : "8.0.41"));
  EXPECT_LE(log_.size(), lines + 5);
  EXPECT_LE(kept_.size(), files + 5);
}

TEST_F(FleetTest, LinesAndFilesAreBoundedAndTheLastStateIsTold) {
  for (int minute = 0; minute < 3; ++minute, now_ += 60) {
    for (int i = 0; i < 50; ++i) {
      std::string number = std::to_string(40 - i % 40 + 100 * minute);
      Probe("a:" + std::to_string(i), Greets("8.0." + std::to_string(200 - minute * 50 - i)));
    }
  }
  EXPECT_LE(log_.size(), 15u);
  EXPECT_LE(kept_.size(), 15u);
  Hear("b:1", Greets("8.4.3"));
  EXPECT_EQ(LinesWith("version " + Promised().version + ","), 1u);
  EXPECT_NE(kept_.back().find("b:1"), std::string::npos);
}

TEST_F(FleetTest, WhatIsNotProbedAnyMoreIsForgotten) {
  for (int i = 0; i < 3; ++i, now_ += 10) {
    Probe("a:1", Greets("8.4.3"));
    Probe("gone:1", Greets("8.0.40"));
  }
  EXPECT_EQ(Promised().version, "8.0.40");
  for (int i = 0; i < 59; ++i, now_ += 10) Probe("a:1", Greets("8.4.3"));
  EXPECT_EQ(Promised().version, "8.0.40") << "for a while it may be down";
  for (int i = 0; i < 8; ++i, now_ += 10) Probe("a:1", Greets("8.4.3"));
  EXPECT_EQ(Promised().version, "8.4.3");
  EXPECT_EQ(fleet_.Summarize().servers, 1u);
  EXPECT_EQ(kept_.back().find("gone:1"), std::string::npos);
}

TEST_F(FleetTest, RareProbesAreWaitedFor) {
  for (int i = 0; i < 5; ++i, now_ += 3000) {
    Probe("a:1", Greets("8.4.3"));
    now_ += 100;
    Probe("b:1", Greets("8.0.40"));
    EXPECT_EQ(Promised().version, "8.0.40");
  }
}

TEST_F(FleetTest, WithoutProbesAServerIsForgottenAfterAnHour) {
  Hear("a:1", Greets("8.4.3"));
  Hear("gone:1", Greets("8.0.40"));
  for (; now_ <= kStart + 3600; now_ += 300) Hear("a:1", Greets("8.4.3"));
  EXPECT_EQ(Promised().version, "8.0.40");
  now_ += 300;
  Hear("a:1", Greets("8.4.3"));
  EXPECT_EQ(Promised().version, "8.4.3");
}

TEST_F(FleetTest, WhatWasKeptIsForgottenAsWell) {
  for (int i = 0; i < 2; ++i, now_ += 10) {
    Probe("a:1", Greets("8.4.3"));
    Probe("gone:1", Greets("8.0.40"));
  }
  now_ += 3700;
  Probe("a:1", Greets("8.4.3"));
  Probe("gone:1", Greets("8.0.40"));
  Fleet next([](uint32_t, const std::string&) {}, [](const std::string&) {});
  Fleet::View view;
  next.Remember(kept_.back(), now_ + 60);
  ASSERT_TRUE(view.Look(next).promise);
  EXPECT_EQ(view.Look(next).promise->version, "8.0.40");
  for (int64_t at = now_ + 70; at <= now_ + 70 + 3 * 3700; at += 10) {
    next.Saw(view, "a:1", Greets("8.4.3"), false, at);
  }
  EXPECT_EQ(view.Look(next).promise->version, "8.4.3");
}

TEST_F(FleetTest, NoMoreServersThanTheBound) {
  for (size_t i = 0; i < Fleet::kServersMost + 10; ++i) {
    Hear("s:" + std::to_string(i), Greets("8.4.3"));
  }
  EXPECT_EQ(fleet_.Summarize().servers, Fleet::kServersMost);
  EXPECT_LE(kept_.back().size(), size_t{1} << 20);
}

TEST_F(FleetTest, MixedFamiliesAreWarnedOfOnceAnHour) {
  Hear("a:1", Greets("8.4.3"));
  for (int i = 0; i < 30; ++i, now_ += 61) {
    Hear("b:1", i % 2 ? Greets("8.4.3") : MariaDb("11.8.6-MariaDB"));
  }
  EXPECT_EQ(LinesWith("run one rum for each family"), 1u);
}

TEST_F(FleetTest, WhatIsWrittenIsRead) {
  Probe("a:1", Greets("8.4.3"), true);
  Hear("unix:/run/db.sock", MariaDb("5.5.5-10.11.19-MariaDB", 8));
  auto read = ReadServers(kept_.back(), now_);
  ASSERT_TRUE(read.ok()) << read.why;
  ASSERT_EQ(read.value.size(), 2u);
  EXPECT_TRUE(read.value["a:1"].is_default);
  EXPECT_EQ(read.value["a:1"].charset, 255);
  EXPECT_EQ(read.value["unix:/run/db.sock"].capabilities, kMariaDb);
  EXPECT_EQ(read.value["unix:/run/db.sock"].plugin, "mysql_native_password");
}

TEST_F(FleetTest, WhatIsNotUnderstoodInTheFileIsLeftOut) {
  EXPECT_FALSE(ReadServers("", now_).ok());
  EXPECT_FALSE(ReadServers("{}", now_).ok());
  auto one = [&](const std::string& fields) {
    auto read = ReadServers(R"({"format":"rum-mysql-fleet-1","servers":[{"address":"a:1",)"
                            R"("version":"8.4.3","capabilities":"9bfff7ff",)" +
                                fields + "}]}",
                            now_);
    EXPECT_TRUE(read.ok());
    return read.value.size();
  };
  EXPECT_EQ(one(R"("seen":1800000000)"), 1u);
  EXPECT_EQ(one(R"("seen":1800000000,"charset":"x","interval":-3,"default":7)"), 1u);
  for (const char* seen : {"1800000001", "-1", "9223372036854775809", "18446744073709551615",
                           "-9223372036854775808", "1.5", "\"now\"", "1799900000"}) {
    EXPECT_EQ(one(std::string(R"("seen":)") + seen), 0u) << seen;
  }
}

}  // namespace
}  // namespace rum::mysql
