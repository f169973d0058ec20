// Connection ids and what stands behind them.
#include "mysql/kill_table.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

namespace rum::mysql {
namespace {

KillTable& Table() { return KillTable::OfProcess(); }

TEST(KillTable, FindsASessionOfTheSameUserOnTheSameServerOnly) {
  uint32_t id = Table().NextId();
  Table().Add(id, "alice", "10.0.0.1:3306", 77);
  EXPECT_EQ(Table().Find(id, "alice", "10.0.0.1:3306"), 77u);
  EXPECT_EQ(Table().Find(id, "bob", "10.0.0.1:3306"), std::nullopt);
  EXPECT_EQ(Table().Find(id, "alice", "10.0.0.2:3306"), std::nullopt);
  EXPECT_EQ(Table().Find(id + 1, "alice", "10.0.0.1:3306"), std::nullopt);
  EXPECT_TRUE(Table().Remove(id)) << "a KILL may be on its way to it";
  EXPECT_EQ(Table().Find(id, "alice", "10.0.0.1:3306"), std::nullopt);
  Table().Remove(id);
}

TEST(KillTable, SaysOfASessionThatGoesWhetherAKillHasFoundIt) {
  uint32_t id = Table().NextId();
  Table().Add(id, "alice", "10.0.0.1:3306", 77);
  Table().Find(id, "bob", "10.0.0.1:3306");
  EXPECT_FALSE(Table().Remove(id));
}

TEST(KillTable, AnIdOfTwoSessionsIsNobodys) {
  uint32_t id = Table().NextId();
  Table().Add(id, "alice", "a", 1);
  Table().Add(id, "alice", "a", 2);
  EXPECT_EQ(Table().Find(id, "alice", "a"), std::nullopt);
}

TEST(KillTable, IdsHaveThirtyOneBitsAndLieAboveThoseOfServers) {
  uint32_t first = Table().NextId();
  for (int i = 0; i < 1000; ++i) {
    uint32_t id = Table().NextId();
    EXPECT_GT(id, 0x40000000u);
    EXPECT_LT(id, 0x7fffffffu);
    EXPECT_NE(id, first);
  }
}

TEST(KillTable, WorkersShareIt) {
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([t] {
      std::string user = "user" + std::to_string(t);
      for (uint32_t i = 0; i < 5000; ++i) {
        uint32_t id = Table().NextId();
        Table().Add(id, user, "server", i);
        EXPECT_EQ(Table().Find(id, user, "server"), i);
        Table().Remove(id);
      }
    });
  }
  for (auto& thread : threads) thread.join();
}

}  // namespace
}  // namespace rum::mysql
