#include "mysql/pace.h"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

namespace rum::mysql {
namespace {

using Step = Pace::Step;

constexpr Nonce kSecret = {'a', ' ', 's', 'e', 'c', 'r', 'e', 't'};
const std::string kHere = "tcp:db1:3306", kThere = "tcp:db2:3306", kNowhere = "tcp:db3:3306";

std::string Name(const char* prefix, int number) { return prefix + std::to_string(number); }

TEST(Pace, KnowsNothingBeforeTheFirst) {
  Pace pace(kSecret);
  EXPECT_EQ(pace.Pick(Step::kSwitch, "carol", nullptr), 0u);
  pace.Add(Step::kSwitch, "alice", kHere, 300);
  EXPECT_EQ(pace.Pick(Step::kSwitch, "carol", nullptr), 300u);
  EXPECT_EQ(pace.Pick(Step::kDenial, "carol", nullptr), 0u);
}

TEST(Pace, PicksOfTheLast32AndAllOfThem) {
  Pace pace(kSecret);
  for (uint64_t time = 1; time <= 100; ++time) pace.Add(Step::kDenial, "alice", kHere, time);
  std::set<uint64_t> picked;
  for (int i = 0; i < 2000; ++i) picked.insert(pace.Pick(Step::kDenial, "carol", nullptr));
  EXPECT_EQ(picked.size(), 32u);
  EXPECT_EQ(*picked.begin(), 69u);
  EXPECT_EQ(*picked.rbegin(), 100u);
}

TEST(Pace, NobodyWaitsLongerThanASecond) {
  Pace pace(kSecret);
  pace.Add(Step::kDenial, "alice", kHere, 5000000);
  EXPECT_EQ(pace.Pick(Step::kDenial, "carol", nullptr), 1000000u);
}

TEST(Pace, OfAServerThatIsSaidIsThatServers) {
  Pace pace(kSecret);
  pace.Add(Step::kSwitch, "alice", kHere, 1);
  pace.Add(Step::kSwitch, "bob", kThere, 2);
  pace.Add(Step::kSwitch, "", "", 3);
  EXPECT_EQ(pace.Pick(Step::kSwitch, "x", &kHere), 1u);
  EXPECT_EQ(pace.Pick(Step::kSwitch, "x", &kThere), 2u);
  const std::string by_default;
  EXPECT_EQ(pace.Pick(Step::kSwitch, "x", &by_default), 3u);
  EXPECT_NE(pace.Pick(Step::kSwitch, "x", &kNowhere), 0u) << "nothing is known of it";
}

// The owner of a slow server logs in there as often as he likes.
TEST(Pace, UnknownNamesAreSpreadOverServersAsKnownUsersAre) {
  Pace pace(kSecret);
  for (int i = 0; i < 180; ++i) pace.Add(Step::kSwitch, Name("user", i), kHere, 900);
  for (int i = 0; i < 10000; ++i) pace.Add(Step::kSwitch, Name("own", i % 20), kThere, 495000);
  int slow = 0;
  for (int i = 0; i < 1000; ++i) {
    const uint64_t first = pace.Pick(Step::kSwitch, Name("unknown", i), nullptr);
    slow += first == 495000;
    for (int again = 0; again < 5; ++again) {
      ASSERT_EQ(pace.Pick(Step::kSwitch, Name("unknown", i), nullptr), first);
    }
  }
  EXPECT_GT(slow, 30) << "a tenth of the users is there";
  EXPECT_LT(slow, 200);
}

TEST(Pace, ANameKeepsItsServerWhenOthersComeUp) {
  Pace pace(kSecret);
  for (int i = 0; i < 100; ++i) {
    pace.Add(Step::kSwitch, Name("user", i), Name("tcp:db:", i), static_cast<uint64_t>(i + 1));
  }
  std::vector<uint64_t> before;
  for (int i = 0; i < 1000; ++i) {
    before.push_back(pace.Pick(Step::kSwitch, Name("unknown", i), nullptr));
  }
  for (int i = 100; i < 110; ++i) {
    pace.Add(Step::kSwitch, Name("user", i), Name("tcp:db:", i), static_cast<uint64_t>(i + 1));
  }
  int moved = 0;
  for (int i = 0; i < 1000; ++i) {
    moved +=
        pace.Pick(Step::kSwitch, Name("unknown", i), nullptr) != before[static_cast<size_t>(i)];
  }
  EXPECT_LT(moved, 250) << "to the ten new ones only";
}

TEST(Pace, IsBoundedAndASampleIsFair) {
  Pace pace(kSecret);
  // Few users come first, and many after them.
  for (int i = 0; i < 1000; ++i) pace.Add(Step::kSwitch, Name("early", i), kHere, 1);
  for (int i = 0; i < 9000; ++i) pace.Add(Step::kSwitch, Name("late", i), kThere, 2);
  int early = 0;
  for (int i = 0; i < 1000; ++i) {
    early += pace.Pick(Step::kSwitch, Name("unknown", i), nullptr) == 1;
  }
  EXPECT_GT(early, 40);
  EXPECT_LT(early, 200);
  // Servers that are forgotten leave their users to others.
  for (size_t i = 0; i < 2 * Pace::kServersMost; ++i) {
    pace.Add(Step::kSwitch, "alice", Name("tcp:db:", static_cast<int>(i)), 3);
  }
  EXPECT_NE(pace.Pick(Step::kSwitch, "x", &kHere), 0u);
}

TEST(Pace, WaitsAreShortenedByWhatTimersAreUsuallyLate) {
  Pace pace(kSecret);
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
