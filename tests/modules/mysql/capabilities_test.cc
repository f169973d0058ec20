#include "mysql/capabilities.h"

#include <gtest/gtest.h>

namespace rum::mysql {
namespace {

TEST(Capabilities, ReadsVersionsOfBothKinds) {
  struct {
    const char* text;
    bool mariadb;
    uint32_t number;
  } const cases[] = {
      {"8.0.40", false, 80040},
      {"9.7.4-2", false, 90704},
      {"5.7.44-log", false, 50744},
      {"5.5.5-10.11.19-MariaDB-0+deb12u1", true, 101119},
      {"11.8.6-MariaDB", true, 110806},
      {"5.5.68-MariaDB", true, 50568},
      {"8", false, 80000},
      {"8.0", false, 80000},
      {"", false, 0},
      {"mysql", false, 0},
      {"-1.2", false, 0},
      {"999999999999.1.1", false, 0},
  };
  for (const auto& one : cases) {
    ServerVersion version = ReadVersion(one.text);
    EXPECT_EQ(version.mariadb, one.mariadb) << one.text;
    EXPECT_EQ(version.number, one.number) << one.text;
  }
}

TEST(Capabilities, OffersWhatEveryServerOfTheVersionHas) {
  EXPECT_EQ(OfferedCapabilities(ReadVersion("5.5.5-10.11.0-MariaDB")), 0x1d81fff7dfu);
  EXPECT_EQ(OfferedCapabilities(ReadVersion("5.5.5-10.5.2-MariaDB")), 0x0d81fff7dfu);
  EXPECT_EQ(OfferedCapabilities(ReadVersion("5.5.5-10.4.34-MariaDB")), 0x0581fff7dfu);
  EXPECT_EQ(OfferedCapabilities(ReadVersion("8.0.40")), 0x9bfff7dfu);
  EXPECT_EQ(OfferedCapabilities(ReadVersion("11.8.6-MariaDB")), 0x3d81fff7dfu);
  EXPECT_EQ(OfferedCapabilities(ReadVersion("8.0.26")), 0x8bfff7dfu);
  EXPECT_EQ(OfferedCapabilities(ReadVersion("8.0.22")), 0x83fff7dfu);
  EXPECT_EQ(OfferedCapabilities(ReadVersion("8.0.10")), 0x81fff7dfu);
  EXPECT_EQ(OfferedCapabilities(ReadVersion("5.7.44")), 0x80fff7dfu);
  EXPECT_EQ(OfferedCapabilities(ReadVersion("5.5.5-10.2.7-MariaDB")), 0x80fff7dfu);
  EXPECT_EQ(OfferedCapabilities(ReadVersion("5.5.5-10.1.48-MariaDB")), 0x807ff7dfu);
  EXPECT_EQ(OfferedCapabilities(ReadVersion("5.5.62")), 0x800ff7dfu);
}

TEST(Capabilities, NeverOffersWhatNeedsMoreThanPassingOn) {
  for (const char* text : {"5.0.96", "5.6.51", "9.0.1", "12.0.0-MariaDB"}) {
    uint64_t bits = OfferedCapabilities(ReadVersion(text));
    EXPECT_EQ(bits & (kCompresses | kSsl | 0x60000000u), 0u) << text;
    EXPECT_EQ(bits & (kProtocol41 | kSecureConnection | kLongPassword),
              kProtocol41 | kSecureConnection | kLongPassword)
        << text;
  }
}

TEST(Capabilities, DoesNotOfferPluginsBeforeServersHadThem) {
  EXPECT_EQ(OfferedCapabilities(ReadVersion("5.1.73")) & kPluginAuth, 0u);
  EXPECT_NE(OfferedCapabilities(ReadVersion("5.5.62")) & kPluginAuth, 0u);
}

TEST(Capabilities, HaveNames) {
  EXPECT_EQ(NameCapabilities(0), "");
  EXPECT_EQ(NameCapabilities(kDeprecateEof), "DEPRECATE_EOF");
  EXPECT_EQ(NameCapabilities(kDeprecateEof | kPluginAuth), "PLUGIN_AUTH, DEPRECATE_EOF");
}

TEST(Capabilities, TheFamilyOfAServerIsToldByItsFlags) {
  constexpr uint64_t kMariaDb = 0x1d81fff7fe, kMySql = 0x9bfff7ff, kNeither = 0x882fe;
  struct {
    const char* text;
    uint64_t capabilities;
    bool mariadb;
    uint32_t number;
  } cases[] = {
      {"5.5.5-10.11.19-MariaDB", kMariaDb, true, 101119},
      {"5.5.5-10.0.0 MaxScale 24.02.1", kMariaDb, true, 100000},
      {"10.0.0 MaxScale 24.02.1", kMariaDb, true, 100000},
      {"11.8.6-MariaDB", kMariaDb, true, 110806},
      {"8.0.40", kMySql, false, 80040},
      {"5.5.5-log", kMySql, false, 50505},
      // Before 10.2 there are no further flags.
      {"5.5.5-10.1.48-MariaDB", kMySql, true, 100148},
      {"5.5.68-MariaDB", kMySql, true, 50568},
      // Sphinx: LONG_PASSWORD is clear, and there are none either.
      {"2.2.11-id64-release", kNeither, false, 20211},
      {"5.5.5-10.4.2-MariaDB", kNeither, false, 100402},
  };
  for (const auto& one : cases) {
    ServerVersion version = VersionOf(one.text, one.capabilities);
    EXPECT_EQ(version.mariadb, one.mariadb) << one.text;
    EXPECT_EQ(version.number, one.number) << one.text;
  }
}

}  // namespace
}  // namespace rum::mysql
