// How many connections go to a server at a time.
#include "upstream/arrivals.h"

#include <gtest/gtest.h>

#include <deque>
#include <string>

namespace rum {
namespace {

constexpr uint32_t kMost = 50;
uint64_t now = 0;

TEST(ArrivalsTest, SoManyGoAtATimeAndAnotherWhenOneWasTaken) {
  Arrivals arrivals([] { return now; });
  std::deque<Arrivals::Place> places(kMost);
  for (Arrivals::Place& place : places) EXPECT_TRUE(arrivals.Take("tcp:a:1", kMost, &place));
  Arrivals::Place one;
  EXPECT_FALSE(arrivals.Take("tcp:a:1", kMost, &one));
  EXPECT_TRUE(arrivals.Take("tcp:b:1", kMost, &one)) << "another server";
  now = 77;
  places.pop_front();
  EXPECT_TRUE(arrivals.Take("tcp:a:1", kMost, &one));
  EXPECT_EQ(arrivals.Moved("tcp:a:1"), 77u);
  EXPECT_EQ(arrivals.Moved("tcp:c:1"), 0u);
}

TEST(ArrivalsTest, APlaceThatIsTakenAnewOrGivenBackTwiceCountsOnce) {
  Arrivals arrivals([] { return now; });
  std::deque<Arrivals::Place> places(kMost);
  for (int round = 0; round < 3; ++round) {
    for (Arrivals::Place& place : places) EXPECT_TRUE(arrivals.Take("tcp:a:1", kMost, &place));
  }
  for (Arrivals::Place& place : places) {
    place.Release();
    place.Release();
  }
  for (Arrivals::Place& place : places) EXPECT_TRUE(arrivals.Take("tcp:a:1", kMost, &place));
  Arrivals::Place one;
  EXPECT_FALSE(arrivals.Take("tcp:a:1", kMost, &one));
}

TEST(ArrivalsTest, WithoutABoundEachGoesAndIsCountedForTheTimeWhenThereIsOne) {
  Arrivals arrivals([] { return now; });
  std::deque<Arrivals::Place> places(kMost);
  for (Arrivals::Place& place : places) EXPECT_TRUE(arrivals.Take("tcp:a:1", 0, &place));
  Arrivals::Place one;
  EXPECT_TRUE(arrivals.Take("tcp:a:1", 0, &one));
  EXPECT_FALSE(arrivals.Take("tcp:a:1", kMost, &one));
  EXPECT_TRUE(arrivals.Take("tcp:a:1", kMost + 1, &one));
}

}  // namespace
}  // namespace rum
