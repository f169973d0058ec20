// What others have charged to rates from one reading to the next, never more than it was.
#include "share/other_charges.h"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

namespace rum {
namespace {

constexpr uint64_t kMost = 5000;

class OtherChargesTest : public testing::Test {
 protected:
  using Readings = std::map<std::string, KeyCharges>;
  // A reading a thousand later than the one before: what has grown.
  std::map<std::string, uint64_t> Read(const Readings& nodes, RateKind kind = RateKind::kUser) {
    charges_.Begin(now_ += 1000);
    for (const auto& [node, list] : nodes) {
      ChargeTable& table = charges_.Of(node)[static_cast<size_t>(kind)];
      for (const auto& [key, charge] : list) table[key] = charge;
    }
    std::map<std::string, uint64_t> grown;
    charges_.Finish(kMost,
                    [&](RateKind of, const std::string& key, uint64_t micros, uint64_t since) {
                      EXPECT_EQ(of, kind);
                      EXPECT_EQ(since, now_ - 1000);
                      grown[key] += micros;
                    });
    return grown;
  }
  using Grown = std::map<std::string, uint64_t>;
  OtherCharges charges_;
  uint64_t now_ = 1000000;
};

TEST_F(OtherChargesTest, GrowByTheDifferenceOfTwoReadings) {
  EXPECT_EQ(Read({{"one", {{"alice", {1, 50}}}}}), Grown{}) << "there is none to compare with";
  EXPECT_EQ(Read({{"one", {{"alice", {1, 70}}}}}), (Grown{{"alice", 20}}));
  EXPECT_EQ(Read({{"one", {{"alice", {1, 70}}}}}), Grown{}) << "the same again";
  EXPECT_EQ(Read({{"one", {{"alice", {1, 70}}, {"bob", {2, 30}}}}}), (Grown{{"bob", 30}}));
  EXPECT_EQ(Read({{"one", {{"alice", {3, 10}}, {"bob", {2, 31}}}}}),
            (Grown{{"alice", 10}, {"bob", 1}}))
      << "alice's bucket was full meanwhile";
  EXPECT_EQ(Read({{"one", {{"alice", {3, 5}}}}}), Grown{}) << "nothing shrinks";
}

TEST_F(OtherChargesTest, OfSeveralProcessesAddUp) {
  Read({{"one", {}}, {"two", {}}});
  EXPECT_EQ(Read({{"one", {{"alice", {1, 5}}}}, {"two", {{"alice", {9, 7}}}}}, RateKind::kFailures),
            (Grown{{"alice", 12}}));
}

TEST_F(OtherChargesTest, OfAProcessThatStartsOrComesBackAreNotTakenAtFirst) {
  Read({{"one", {{"alice", {1, 50}}}}});
  EXPECT_EQ(Read({{"one", {{"alice", {1, 50}}}}, {"two", {{"alice", {1, 90}}}}}), Grown{});
  EXPECT_EQ(Read({{"one", {{"alice", {1, 60}}}}}), (Grown{{"alice", 10}}));
  EXPECT_EQ(Read({{"one", {{"alice", {1, 60}}}}, {"two", {{"alice", {1, 99}}}}}), Grown{});
  now_ += kMost;
  EXPECT_EQ(Read({{"one", {{"alice", {1, 80}}}}}), Grown{}) << "the former reading is too old";
}

TEST_F(OtherChargesTest, OfAKeyThatWasLeftOutAreNotTakenAsAWhole) {
  Read({{"one", {{"alice", {1, 50}}, {"bob", {7, 10}}}}});
  EXPECT_EQ(Read({{"one", {{"bob", {7, 10}}}}}), Grown{});
  EXPECT_EQ(Read({{"one", {{"alice", {1, 60}}, {"bob", {7, 10}}}}}), Grown{});
  EXPECT_EQ(Read({{"one", {}}}), Grown{});
  EXPECT_EQ(Read({{"one", {{"bob", {7, 20}}, {"alice", {8, 5}}}}}), (Grown{{"alice", 5}}));
}

}  // namespace
}  // namespace rum
