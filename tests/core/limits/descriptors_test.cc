#include "limits/descriptors.h"

#include <errno.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <string>

namespace rum {
namespace {

TEST(Descriptors, AreEnoughForTheConnectionsOrItIsSaidWhatToChange) {
  EXPECT_FALSE(DescriptorsMissing(0, 64));
  EXPECT_FALSE(DescriptorsMissing(1000, 2200));
  EXPECT_EQ(*DescriptorsMissing(1001, 2200),
            "--max-connections 1001 may need 2202 open files and the limit is 2200: raise it to "
            "2202 (--nofile, ulimit -Hn, LimitNOFILE=), or lower --max-connections to 1000");
  EXPECT_EQ(DescriptorsMissing(1, 200)->find("lower"), std::string::npos);
  EXPECT_TRUE(DescriptorsMissing(UINT32_MAX, UINT32_MAX));
}

TEST(Descriptors, PromisedToConnectionsAreNotToSpare) {
  EXPECT_EQ(SpareDescriptors(132, 464), 0u);
  EXPECT_EQ(SpareDescriptors(132, 474), 10u);
  EXPECT_EQ(SpareDescriptors(132, 64), 0u);
  EXPECT_EQ(SpareDescriptors(UINT32_MAX, UINT32_MAX), 0u);
  EXPECT_EQ(SpareDescriptors(0, 1024), 256u) << "a share, where nothing is promised";
}

TEST(Descriptors, AreShortIfACallSaysSo) {
  for (int error : {EMFILE, ENFILE, ENOBUFS, ENOMEM}) EXPECT_TRUE(IsShortage(error)) << error;
  for (int error : {0, EAGAIN, ECONNABORTED, EADDRNOTAVAIL})
    EXPECT_FALSE(IsShortage(error)) << error;
}

TEST(Descriptors, AreLimitedAsAskedFor) {
  rlimit before, now;
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  ASSERT_TRUE(SetDescriptorLimit(100).ok());
  ::getrlimit(RLIMIT_NOFILE, &now);
  EXPECT_EQ(now.rlim_cur, 100u);
  EXPECT_EQ(now.rlim_max, before.rlim_max);
  ASSERT_TRUE(SetDescriptorLimit(0).ok());
  ::getrlimit(RLIMIT_NOFILE, &now);
  EXPECT_EQ(now.rlim_cur, before.rlim_max);
  // More than the kernel knows of, even for root.
  auto refused = SetDescriptorLimit(UINT32_MAX);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().text.find("--nofile: 4294967295 open files are not allowed"), 0u);
  ::setrlimit(RLIMIT_NOFILE, &before);
}

}  // namespace
}  // namespace rum
