#include "base/units.h"

#include <gtest/gtest.h>

#include <tuple>
#include <utility>

namespace rum {
namespace {

constexpr double kMiB = 1 << 20;

TEST(ShowSize, CountsInPowersOf1024AsOptionsDo) {
  for (const auto& [bytes, text, brief] : {std::tuple{0.0, "0 B", "0"},
                                           {17.0, "17 B", "17"},
                                           {1023.0, "1023 B", "1023"},
                                           {1023.7, "1.0 KiB", "1.0K"},
                                           {10240.0, "10 KiB", "10K"},
                                           {512 * kMiB, "512 MiB", "512M"},
                                           {1.5 * 1024 * kMiB, "1.5 GiB", "1.5G"},
                                           {1023.4 * kMiB, "1023 MiB", "1023M"},
                                           {9.96 * kMiB, "10 MiB", "10M"},
                                           {1e30, "867361737988 EiB", "867361737988E"}}) {
    EXPECT_EQ(ShowSize(bytes), text);
    EXPECT_EQ(ShowSizeBriefly(bytes), brief);
  }
}

TEST(ShowDuration, HasAtMostTwoUnitsAndRoundsDown) {
  for (const auto& [seconds, text] : {std::pair{-1.0, "0s"},
                                      {0.0, "0s"},
                                      {0.00049, "0.4ms"},
                                      {0.25, "250ms"},
                                      {0.9999, "999ms"},
                                      {1.0, "1.0s"},
                                      {3.29, "3.2s"},
                                      {9.99, "9.9s"},
                                      {10.0, "10s"},
                                      {59.99, "59s"},
                                      {60.0, "1m"},
                                      {312.0, "5m12s"},
                                      {3599.9, "59m59s"},
                                      {3600.0, "1h"},
                                      {27000.0, "7h30m"},
                                      {86399.0, "23h59m"},
                                      {86400.0, "1d"},
                                      {12 * 86400 + 4.5 * 3600, "12d4h"},
                                      {100 * 86400.0, "100d"}}) {
    EXPECT_EQ(ShowDuration(seconds), text) << seconds;
  }
}

TEST(Counted, HasAnSUnlessThereIsOne) {
  EXPECT_EQ(Counted(0, "user"), "0 users");
  EXPECT_EQ(Counted(1, "user"), "1 user");
  EXPECT_EQ(Counted(2, "user"), "2 users");
}

}  // namespace
}  // namespace rum
