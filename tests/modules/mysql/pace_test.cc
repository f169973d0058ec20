#include "mysql/pace.h"

#include <gtest/gtest.h>

#include <set>

namespace rum::mysql {
namespace {

TEST(Pace, KnowsNothingBeforeTheFirst) {
  Pace pace;
  EXPECT_EQ(pace.Pick(Pace::Step::kSwitch), 0u);
  pace.Add(Pace::Step::kSwitch, 300);
  EXPECT_EQ(pace.Pick(Pace::Step::kSwitch), 300u);
  EXPECT_EQ(pace.Pick(Pace::Step::kDenial), 0u);
}

TEST(Pace, PicksOfTheLast32AndAllOfThem) {
  Pace pace;
  for (uint64_t time = 1; time <= 100; ++time) pace.Add(Pace::Step::kDenial, time);
  std::set<uint64_t> picked;
  for (int i = 0; i < 2000; ++i) picked.insert(pace.Pick(Pace::Step::kDenial));
  EXPECT_EQ(picked.size(), 32u);
  EXPECT_EQ(*picked.begin(), 69u);
  EXPECT_EQ(*picked.rbegin(), 100u);
}

TEST(Pace, NobodyWaitsLongerThanASecond) {
  Pace pace;
  pace.Add(Pace::Step::kDenial, 5000000);
  EXPECT_EQ(pace.Pick(Pace::Step::kDenial), 1000000u);
}

TEST(Pace, WaitsAreShortenedByWhatTimersAreUsuallyLate) {
  Pace pace;
  EXPECT_EQ(pace.Shorten(400), 400u);
  // Nine of ten are 60 late, one is far out.
  for (int i = 0; i < 1000; ++i) pace.TimerWasLate(i % 10 ? 60 : 900000);
  EXPECT_NEAR(static_cast<double>(pace.Shorten(400)), 340, 4);
  EXPECT_EQ(pace.Shorten(30), 0u);
  for (int i = 0; i < 1000; ++i) pace.TimerWasLate(0);
  EXPECT_EQ(pace.Shorten(400), 400u);
  for (int i = 0; i < 10000; ++i) pace.TimerWasLate(900000);
  EXPECT_EQ(pace.Shorten(1000), 500u) << "what is measured may be wrong: the correction is bounded";
}

}  // namespace
}  // namespace rum::mysql
