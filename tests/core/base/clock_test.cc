#include "base/clock.h"

#include <gtest/gtest.h>

#include <string>

namespace rum {
namespace {

int64_t MillisOf(std::string_view text) {
  auto duration = ParseDuration(text);
  EXPECT_TRUE(duration.ok()) << text;
  return duration ? duration->count() : -1;
}

TEST(Duration, HasFourUnits) {
  EXPECT_EQ(MillisOf("250ms"), 250);
  EXPECT_EQ(MillisOf("6s"), 6000);
  EXPECT_EQ(MillisOf("5m"), 5 * 60 * 1000);
  EXPECT_EQ(MillisOf("1h"), 3600 * 1000);
}

TEST(Duration, OffAndZeroAreNone) {
  EXPECT_EQ(MillisOf("off"), 0);
  EXPECT_EQ(MillisOf("0"), 0);
  EXPECT_EQ(MillisOf("0s"), 0);
}

TEST(Duration, WithoutAUnitMeansSecondsAsInOlderVersions) {
  EXPECT_EQ(MillisOf("6"), 6000);
  EXPECT_EQ(MillisOf("00"), 0);
}

TEST(Duration, WithAnotherUnitOrNoNumberIsRefused) {
  for (const char* text : {"", "s", "ms", "6 s", " 6s", "6s ", "6S", "6sec", "6d", "-1s", "+1s",
                           "1.5s", "6s5ms", "OFF", "none", "0x6s"}) {
    auto duration = ParseDuration(text);
    ASSERT_FALSE(duration.ok()) << text;
    EXPECT_EQ(duration.error().fault, Fault::kUsage);
    EXPECT_TRUE(duration.error().text.starts_with(std::string("'") + text + "'"))
        << duration.error().text;
  }
}

TEST(Duration, IsAtMostTenYearsAndNeverWrapsAround) {
  EXPECT_EQ(MillisOf("87600h"), 10ll * 365 * 24 * 3600 * 1000);
  EXPECT_EQ(MillisOf("315360000s"), 10ll * 365 * 24 * 3600 * 1000);
  for (const char* text :
       {"87601h", "5256001m", "315360001s", "315360000001ms", "5124095576030431h",
        "18446744073709551615ms", "18446744073709551616ms", "99999999999999999999999h"}) {
    EXPECT_FALSE(ParseDuration(text).ok()) << text;
  }
}

TEST(Duration, IsWrittenInTheShortestWay) {
  EXPECT_EQ(FormatDuration(Millis(0)), "off");
  EXPECT_EQ(FormatDuration(Millis(1)), "1ms");
  EXPECT_EQ(FormatDuration(Millis(1500)), "1500ms");
  EXPECT_EQ(FormatDuration(Millis(6000)), "6s");
  EXPECT_EQ(FormatDuration(Millis(90000)), "90s");
  EXPECT_EQ(FormatDuration(Millis(120000)), "2m");
  EXPECT_EQ(FormatDuration(Millis(7200000)), "2h");
}

TEST(Duration, ReadsWhatItWrites) {
  for (int64_t millis : {0ll, 1ll, 999ll, 1000ll, 60000ll, 61000ll, 3600000ll, 315360000000ll}) {
    EXPECT_EQ(MillisOf(FormatDuration(Millis(millis))), millis);
  }
}

TEST(Clock, NeverGoesBack) {
  uint64_t millis = NowMillis(), micros = NowMicros();
  for (int i = 0; i < 1000; ++i) {
    EXPECT_GE(NowMillis(), millis);
    EXPECT_GE(NowMicros(), micros);
    millis = NowMillis();
    micros = NowMicros();
  }
}

}  // namespace
}  // namespace rum
