// The order of servers, for each way of --balance.
#include "upstream/balance.h"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>
#include <vector>

namespace rum {
namespace {

std::string Text(const std::vector<Address>& servers) {
  std::string text;
  for (const Address& server : servers) text += (text.empty() ? "" : ",") + server.host;
  return text;
}

std::string Ordered(Balance balance, const BalanceInput& input,
                    const std::string& list = "tcp:a:1,tcp:b:1,tcp:c:1") {
  auto servers = *ParseAddresses(list);
  OrderServers(balance, input, &servers);
  return Text(servers);
}

TEST(BalanceOrder, FirstKeepsTheOrderOfTheList) {
  EXPECT_EQ(Ordered(Balance::kFirst, {.turn = 7, .random = 7, .client = "x", .sessions = {}}),
            "a,b,c");
}

TEST(BalanceOrder, RoundRobinGivesEachItsTurnAndTheNextInLineWhenItFails) {
  std::vector<std::string> orders;
  for (uint32_t turn = 0; turn < 4; ++turn) {
    orders.push_back(
        Ordered(Balance::kRoundRobin, {.turn = turn, .random = 0, .client = {}, .sessions = {}}));
  }
  EXPECT_EQ(orders, (std::vector<std::string>{"a,b,c", "b,c,a", "c,a,b", "a,b,c"}));
  EXPECT_EQ(Ordered(Balance::kRoundRobin,
                    {.turn = UINT32_MAX, .random = 0, .client = {}, .sessions = {}}),
            "a,b,c");
}

TEST(BalanceOrder, RandomComesToEveryOrder) {
  std::map<std::string, int> orders;
  for (uint64_t i = 1; i <= 6000; ++i) {
    ++orders[Ordered(Balance::kRandom,
                     {.turn = 0, .random = i * 0x9e3779b97f4a7c15u, .client = {}, .sessions = {}})];
  }
  EXPECT_EQ(orders.size(), 6u);
  for (const auto& [order, times] : orders) EXPECT_GT(times, 700) << order;
}

TEST(BalanceOrder, LeastPutsTheOneWithTheFewestSessionsFirst) {
  std::map<std::string, uint32_t> sessions = {{"tcp:a:1", 5}, {"tcp:b:1", 2}, {"tcp:c:1", 9}};
  BalanceInput input{.turn = 0, .random = 0, .client = {}, .sessions = [&](const auto& server) {
                       return sessions[server];
                     }};
  for (input.turn = 0; input.turn < 3; ++input.turn) {
    EXPECT_EQ(Ordered(Balance::kLeast, input), "b,a,c");
  }
  sessions["tcp:b:1"] = 5;
  std::set<std::string> firsts;
  for (input.turn = 0; input.turn < 3; ++input.turn) {
    firsts.insert(Ordered(Balance::kLeast, input).substr(0, 1));
  }
  EXPECT_EQ(firsts, (std::set<std::string>{"a", "b"})) << "equals take turns";
}

TEST(BalanceOrder, SourceIsTheSameForAClientWhateverTheListsOrder) {
  std::map<std::string, int> firsts;
  for (int i = 0; i < 3000; ++i) {
    BalanceInput input{.turn = static_cast<uint32_t>(i),
                       .random = 0,
                       .client = "10.0." + std::to_string(i / 256) + "." + std::to_string(i % 256),
                       .sessions = {}};
    std::string order = Ordered(Balance::kSource, input);
    EXPECT_EQ(order, Ordered(Balance::kSource, input, "tcp:c:1,tcp:a:1,tcp:b:1"));
    ++firsts[order.substr(0, 1)];
    // Without the first the rest keep their order: only the clients of one that is gone move.
    std::string without;
    for (const char* server : {"tcp:a:1", "tcp:b:1", "tcp:c:1"}) {
      if (server[4] != order[0]) without += (without.empty() ? "" : ",") + std::string(server);
    }
    EXPECT_EQ(Ordered(Balance::kSource, input, without), order.substr(2));
  }
  EXPECT_EQ(firsts.size(), 3u);
  for (const auto& [server, clients] : firsts) EXPECT_NEAR(clients, 1000, 150) << server;
  // The same on every machine and in every version: these are the written-down answers.
  EXPECT_EQ(
      Ordered(Balance::kSource, {.turn = 0, .random = 0, .client = "192.0.2.1", .sessions = {}}),
      "b,c,a");
}

}  // namespace
}  // namespace rum
