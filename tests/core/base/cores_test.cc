#include "base/cores.h"

#include <gtest/gtest.h>
#include <sched.h>

#include <thread>

namespace rum {
namespace {

TEST(Cores, ALimitOfProcessorTimeIsRoundedUp) {
  EXPECT_EQ(CoresOfLimit("100000 100000"), 1u);
  EXPECT_EQ(CoresOfLimit("100001 100000"), 2u);
  EXPECT_EQ(CoresOfLimit("1000 100000"), 1u);
  EXPECT_EQ(CoresOfLimit("400000 100000"), 4u);
  for (const char* text : {"max 100000", "", "7", "7 ", "7 0", "-1 100000", "x y",
                           "18446744073709551615 1", "99999999999999999999 1"}) {
    EXPECT_FALSE(CoresOfLimit(text)) << text;
  }
}

TEST(Cores, OnlyThoseThatTheProcessMayUseCount) {
  unsigned cores = 0;
  std::thread([&] {
    cpu_set_t all, one;
    CPU_ZERO(&one);
    ASSERT_EQ(::sched_getaffinity(0, sizeof all, &all), 0);
    for (int i = 0; i < CPU_SETSIZE && CPU_COUNT(&one) == 0; ++i) {
      if (CPU_ISSET(i, &all)) CPU_SET(i, &one);
    }
    ASSERT_EQ(::sched_setaffinity(0, sizeof one, &one), 0);
    cores = UsableCores();
  }).join();
  EXPECT_EQ(cores, 1u);
}

}  // namespace
}  // namespace rum
