#include "upstream/dead_addresses.h"

#include <gtest/gtest.h>

namespace rum {
namespace {

uint64_t now;

SocketAddress At(const std::string& host, uint16_t port = 3306) {
  return *SocketAddress::Numeric(host, port);
}

class DeadAddressesTest : public testing::Test {
 protected:
  DeadAddressesTest() { now = 1000000; }
  // The hosts of `hosts` in the order in which a client tries them.
  std::vector<std::string> Order(const std::vector<std::string>& hosts) {
    std::vector<SocketAddress> addresses;
    for (const auto& host : hosts) addresses.push_back(At(host));
    dead_.Sort(&addresses);
    std::vector<std::string> order;
    for (const auto& address : addresses) order.push_back(address.host());
    return order;
  }
  DeadAddresses dead_{[] { return now; }};
};

using Texts = std::vector<std::string>;
const Texts kAll = {"192.0.2.1", "192.0.2.2", "2001:db8::3"};

TEST_F(DeadAddressesTest, WhoFailedComesLastUntilItsPauseIsOver) {
  EXPECT_EQ(Order(kAll), kAll);
  dead_.Failed(At("192.0.2.1"));
  const Texts last = {"192.0.2.2", "2001:db8::3", "192.0.2.1"};
  EXPECT_EQ(Order(kAll), last);
  now += DeadAddresses::kFirstPause - 1;
  EXPECT_EQ(Order(kAll), last);
  now += 1;
  EXPECT_EQ(Order(kAll), kAll) << "one client tries it";
  EXPECT_EQ(Order(kAll), last) << "the next one does not wait for it";
}

TEST_F(DeadAddressesTest, TheOrderStaysWhenAllFailed) {
  for (const auto& host : kAll) dead_.Failed(At(host));
  EXPECT_EQ(Order(kAll), kAll);
}

TEST_F(DeadAddressesTest, AnotherPortIsAnotherAddress) {
  dead_.Failed(At("192.0.2.1", 3307));
  EXPECT_EQ(Order(kAll), kAll);
}

TEST_F(DeadAddressesTest, WhoAnswersIsForgotten) {
  dead_.Failed(At("192.0.2.1"));
  dead_.Succeeded(At("192.0.2.1"));
  EXPECT_EQ(Order(kAll), kAll);
  EXPECT_EQ(dead_.size(), 0u);
}

TEST_F(DeadAddressesTest, ThePauseDoublesWithEachTrialThatFails) {
  dead_.Failed(At("192.0.2.1"));
  for (int i = 0; i < 100; ++i) dead_.Failed(At("192.0.2.1"));  // others that were on their way
  now += DeadAddresses::kFirstPause;
  EXPECT_EQ(Order(kAll), kAll);
  dead_.Failed(At("192.0.2.1"));
  now += 2 * DeadAddresses::kFirstPause - 1;
  EXPECT_NE(Order(kAll), kAll);
  now += 1;
  EXPECT_EQ(Order(kAll), kAll);
  for (int i = 0; i < 20; ++i) {
    dead_.Failed(At("192.0.2.1"));
    now += DeadAddresses::kLongestPause;
    EXPECT_EQ(Order(kAll), kAll) << "it is never longer than that";
  }
}

TEST_F(DeadAddressesTest, ATrialThatNobodyHearsOfIsFollowedByAnother) {
  dead_.Failed(At("192.0.2.1"));
  now += DeadAddresses::kFirstPause;
  EXPECT_EQ(Order(kAll), kAll);
  now += DeadAddresses::kTrial;
  EXPECT_EQ(Order(kAll), kAll);
}

TEST_F(DeadAddressesTest, RemembersSoManyAndForgetsOldOnes) {
  for (int i = 0; i < 6000; ++i) {
    dead_.Failed(At("198.18." + std::to_string(i / 250) + "." + std::to_string(i % 250)));
  }
  EXPECT_EQ(dead_.size(), DeadAddresses::kMost);
  now += 10 * DeadAddresses::kLongestPause;
  dead_.Failed(At("192.0.2.1"));
  EXPECT_EQ(dead_.size(), 1u);
}

}  // namespace
}  // namespace rum
