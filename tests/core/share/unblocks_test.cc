// Unblocks of operators as they go through Redis: each is acted on once, whoever wrote it.
#include "share/unblocks.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>

namespace rum {
namespace {

using Addresses = std::vector<std::string>;

RespReply List(const std::vector<std::pair<std::string, std::string>>& entries) {
  RespReply list;
  list.type = RespReply::Type::kArray;
  for (const auto& [address, time] : entries) {
    for (const std::string& text : {address, time}) {
      list.items.push_back({RespReply::Type::kText, text, 0, {}});
    }
  }
  return list;
}

TEST(Unblocks, OfOthersAreActedOnOnce) {
  Unblocks unblocks;
  EXPECT_EQ(unblocks.Read(List({{"192.0.2.1/32", "100"}})), Addresses{}) << "from before the start";
  EXPECT_EQ(unblocks.Read(List({{"192.0.2.1/32", "100"}, {"192.0.2.2/32", "200"}})),
            Addresses{"192.0.2.2/32"});
  EXPECT_EQ(unblocks.Read(List({{"192.0.2.1/32", "1e2"}, {"192.0.2.2/32", "200"}})), Addresses{});
  EXPECT_EQ(unblocks.Read(List({{"192.0.2.1/32", "300"}, {"192.0.2.2/32", "200"}})),
            Addresses{"192.0.2.1/32"})
      << "once more";
  EXPECT_EQ(unblocks.Read(List({})), Addresses{});
}

TEST(Unblocks, OfThisProcessAreSentUntilTheyArrive) {
  Unblocks unblocks;
  EXPECT_EQ(unblocks.Read(List({})), Addresses{});
  unblocks.Add("192.0.2.1/32");
  EXPECT_EQ(unblocks.Send(1700000000000001), Addresses{"192.0.2.1/32"});
  unblocks.Add("192.0.2.2/32");
  EXPECT_EQ(unblocks.Send(1700000000000002).size(), 2u) << "the first time failed";
  unblocks.Sent();
  EXPECT_TRUE(unblocks.waiting().empty());
  EXPECT_EQ(unblocks.Send(1700000000000003), Addresses{});
  unblocks.Sent();
  EXPECT_EQ(unblocks.Read(
                List({{"192.0.2.1/32", "1700000000000002"}, {"192.0.2.2/32", "1700000000000009"}})),
            Addresses{"192.0.2.2/32"})
      << "its own is no news, that of another process is";
}

TEST(Unblocks, AreBounded) {
  Unblocks unblocks;
  std::vector<std::pair<std::string, std::string>> many;
  for (size_t i = 0; i < 2 * Unblocks::kMost; ++i) {
    unblocks.Add(std::to_string(i));
    many.emplace_back(std::to_string(i), "1");
  }
  EXPECT_EQ(unblocks.waiting().size(), Unblocks::kMost);
  EXPECT_EQ(unblocks.Read(List({})), Addresses{});
  EXPECT_EQ(unblocks.Read(List(many)).size(), Unblocks::kMost);
  RespReply odd = List({{"a", "x"}});
  odd.items.push_back({});
  EXPECT_EQ(unblocks.Read(odd), Addresses{"a"});
}

}  // namespace
}  // namespace rum
