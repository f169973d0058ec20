// How many connections go to a server at a time.
#include "upstream/connect_throttle.h"

#include <gtest/gtest.h>

#include <deque>
#include <string>

namespace rum {
namespace {

constexpr uint32_t kMost = 50;
uint64_t now = 0;

TEST(ConnectThrottleTest, SoManyGoAtATimeAndAnotherWhenOneWasTaken) {
  ConnectThrottle connect_throttle([] { return now; });
  std::deque<ConnectThrottle::Lease> leases(kMost);
  for (ConnectThrottle::Lease& lease : leases)
    EXPECT_TRUE(connect_throttle.Take("tcp:a:1", kMost, &lease));
  ConnectThrottle::Lease one;
  EXPECT_FALSE(connect_throttle.Take("tcp:a:1", kMost, &one));
  EXPECT_TRUE(connect_throttle.Take("tcp:b:1", kMost, &one)) << "another server";
  now = 77;
  leases.pop_front();
  EXPECT_TRUE(connect_throttle.Take("tcp:a:1", kMost, &one));
  EXPECT_EQ(connect_throttle.Moved("tcp:a:1"), 77u);
  EXPECT_EQ(connect_throttle.Moved("tcp:c:1"), 0u);
}

TEST(ConnectThrottleTest, APlaceThatIsTakenAnewOrGivenBackTwiceCountsOnce) {
  ConnectThrottle connect_throttle([] { return now; });
  std::deque<ConnectThrottle::Lease> leases(kMost);
  for (int round = 0; round < 3; ++round) {
    for (ConnectThrottle::Lease& lease : leases)
      EXPECT_TRUE(connect_throttle.Take("tcp:a:1", kMost, &lease));
  }
  for (ConnectThrottle::Lease& lease : leases) {
    lease.Release();
    lease.Release();
  }
  for (ConnectThrottle::Lease& lease : leases)
    EXPECT_TRUE(connect_throttle.Take("tcp:a:1", kMost, &lease));
  ConnectThrottle::Lease one;
  EXPECT_FALSE(connect_throttle.Take("tcp:a:1", kMost, &one));
}

TEST(ConnectThrottleTest, WithoutABoundEachGoesAndIsCountedForTheTimeWhenThereIsOne) {
  ConnectThrottle connect_throttle([] { return now; });
  std::deque<ConnectThrottle::Lease> leases(kMost);
  for (ConnectThrottle::Lease& lease : leases)
    EXPECT_TRUE(connect_throttle.Take("tcp:a:1", 0, &lease));
  ConnectThrottle::Lease one;
  EXPECT_TRUE(connect_throttle.Take("tcp:a:1", 0, &one));
  EXPECT_FALSE(connect_throttle.Take("tcp:a:1", kMost, &one));
  EXPECT_TRUE(connect_throttle.Take("tcp:a:1", kMost + 1, &one));
}

}  // namespace
}  // namespace rum
