// Connection ids, and the keys by which a KILL finds what stands behind them.
#include "mysql/kill_target.h"

#include <gtest/gtest.h>
#include <rum/module.h>

#include <set>
#include <string>

namespace rum::mysql {
namespace {

TEST(KillTarget, IsFoundByTheSameIdUserAndServerOnly) {
  const std::string key = KillKey(0x40000005, "alice", "10.0.0.1:3306");
  EXPECT_EQ(KillKey(0x40000005, "alice", "10.0.0.1:3306"), key);
  const std::set<std::string> all = {key,
                                     KillKey(0x40000006, "alice", "10.0.0.1:3306"),
                                     KillKey(0x40000005, "alice1", "0.0.0.1:3306"),
                                     KillKey(0x40000005, "alic", "e10.0.0.1:3306"),
                                     KillKey(0x40000005, "bob", "10.0.0.1:3306"),
                                     KillKey(0x40000005, "alice", "10.0.0.2:3306")};
  EXPECT_EQ(all.size(), 6u);
}

TEST(KillTarget, FitsTheTable) {
  EXPECT_LE(KillKey(0x40000005, "a_user_of_20_bytes__", "10.100.100.100:33060").size(), 52u)
      << "with its value, in one cell";
  const std::string longest(512, 'u');
  const std::string key = KillKey(0x40000005, longest, "10.0.0.1:3306");
  EXPECT_LE(key.size(), size_t{RUM_MOST_SHARED_KEY});
  EXPECT_NE(KillKey(0x40000005, longest.substr(1), "10.0.0.1:3306"), key);
}

TEST(KillTarget, OfALocalServerIsOnlyThisMachines) {
  for (const char* local : {"127.0.0.1:3306", "[::1]:3306", "[::ffff:127.0.0.1]:3306",
                            "[fe80::1%eth0]:3306", "unix:/run/mysqld/mysqld.sock"}) {
    EXPECT_TRUE(IsLocalServer(local)) << local;
    EXPECT_GT(KillKey(0x40000005, "alice", local).size(), 7u + 5u + std::string(local).size());
  }
  for (const char* other : {"10.0.0.1:3306", "[2001:db8::1]:3306", "[fd00::1]:3306"}) {
    EXPECT_FALSE(IsLocalServer(other)) << other;
  }
}

TEST(KillTarget, ValuesAreReadStrictly) {
  for (uint32_t id : {0u, 1u, 0x01020304u, 0xffffffffu}) EXPECT_EQ(ThreadOf(KillValue(id)), id);
  for (const char* bad : {"", "abc", "abcde"}) EXPECT_EQ(ThreadOf(bad), std::nullopt);
}

TEST(KillTarget, IdsHaveThirtyOneBitsAndLieAboveThoseOfServers) {
  const uint32_t first = NextConnectionId();
  for (int i = 0; i < 1000; ++i) {
    const uint32_t id = NextConnectionId();
    EXPECT_GT(id, 0x40000000u);
    EXPECT_LT(id, 0x7fffffffu);
    EXPECT_NE(id, first);
    EXPECT_TRUE(MayBeOurId(id));
  }
  for (uint32_t id : {0u, 1u, 0x40000000u, 0x7fffffffu, 0xffffffffu}) {
    EXPECT_FALSE(MayBeOurId(id));
  }
}

}  // namespace
}  // namespace rum::mysql
