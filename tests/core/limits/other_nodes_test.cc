// Limits that count the sessions of other processes, too.
#include "limits/other_nodes.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "limits/access_control.h"
#include "limits/admission.h"
#include "rum/module.h"

namespace rum {
namespace {

uint64_t now = 1000;

class OtherNodesTest : public testing::Test {
 protected:
  OtherNodesTest() {
    now = 1000;
    others_.Share({.near_limit = [this] { ++hurries_; },
                   .blocked = [this](std::string address, Millis) { blocked_ = address; },
                   .unblocked = [this](std::string address) { unblocked_ = address; }});
  }
  void Say(OtherNodes::Counts counts) {
    counts.expires = 6000;
    others_.Use(std::make_shared<const OtherNodes::Counts>(std::move(counts)));
  }
  void SayUser(const std::string& user, uint32_t sessions) {
    OtherNodes::Counts counts;
    counts.users[user] = sessions;
    Say(std::move(counts));
  }
  // Logs in, and keeps the session.
  int32_t LogIn(const std::string& user) {
    Admission::Candidate candidate;
    int32_t verdict = admission_.Admit(settings_, {user, address_, true}, {}, {}, &candidate);
    if (verdict != RUM_OK) return verdict;
    sessions_.emplace_back();
    verdict = admission_.Confirm(&candidate, &sessions_.back());
    if (verdict != RUM_OK) sessions_.pop_back();
    return verdict;
  }

  OtherNodes others_{[] { return now; }};
  Admission admission_{nullptr, &others_};
  Admission::Settings settings_{.limit = {.max = 5, .rate = {}}, .guard = {}};
  SocketAddress address_ = *SocketAddress::Numeric("192.0.2.1", 40000);
  std::vector<UserLimits::Lease> sessions_;
  int hurries_ = 0;
  std::string blocked_, unblocked_;
};

TEST_F(OtherNodesTest, CountForTheLimitOfAUser) {
  SayUser("alice", 3);
  EXPECT_EQ(LogIn("alice"), RUM_OK);
  EXPECT_EQ(LogIn("alice"), RUM_OK);
  EXPECT_EQ(LogIn("alice"), RUM_REFUSED_CONNECTIONS);
  EXPECT_EQ(LogIn("bob"), RUM_OK);
  SayUser("alice", 5);
  sessions_.clear();
  EXPECT_EQ(LogIn("alice"), RUM_REFUSED_CONNECTIONS) << "none is here";
  SayUser("alice", 4000000000);
  EXPECT_EQ(LogIn("alice"), RUM_REFUSED_CONNECTIONS);
}

TEST_F(OtherNodesTest, CountNoMoreWhenTheyAreSilent) {
  SayUser("alice", 5);
  now = 5999;
  EXPECT_EQ(LogIn("alice"), RUM_REFUSED_CONNECTIONS);
  now = 6000;
  EXPECT_EQ(LogIn("alice"), RUM_OK);
  EXPECT_EQ(others_.counts(), nullptr);
}

TEST_F(OtherNodesTest, CountAtTheEndOfALoginAsTheyAreThen) {
  Admission::Candidate candidate;
  ASSERT_EQ(admission_.Admit(settings_, {"alice", address_, true}, {}, {}, &candidate), RUM_OK);
  SayUser("alice", 5);
  UserLimits::Lease lease;
  EXPECT_EQ(admission_.Confirm(&candidate, &lease), RUM_REFUSED_CONNECTIONS);
  EXPECT_FALSE(lease);
}

TEST_F(OtherNodesTest, HearEarlyOfAUserThatComesNearItsLimit) {
  EXPECT_EQ(LogIn("alice"), RUM_OK);
  EXPECT_EQ(hurries_, 0) << "1 of 5";
  EXPECT_EQ(LogIn("alice"), RUM_OK);
  EXPECT_EQ(LogIn("alice"), RUM_OK);
  EXPECT_EQ(LogIn("alice"), RUM_OK);
  EXPECT_EQ(hurries_, 1) << "once until the next exchange";
  others_.Listen();
  EXPECT_EQ(LogIn("alice"), RUM_OK);
  EXPECT_EQ(hurries_, 2);
}

TEST_F(OtherNodesTest, ChangeNothingForAUserWithoutALimit) {
  settings_.limit.max = 0;
  SayUser("alice", 1000000);
  EXPECT_EQ(LogIn("alice"), RUM_OK);
  EXPECT_EQ(hurries_, 0);
}

TEST_F(OtherNodesTest, CountForTheLimitOfAnAddress) {
  AccessControl control(NowMicros, &others_);
  AccessControl::Settings settings;
  settings.max_connections_per_ip = 2;
  OtherNodes::Counts counts;
  counts.addresses["192.0.2.1/32"] = 1;
  Say(std::move(counts));
  AccessControl::Lease one, two;
  EXPECT_EQ(control.Enter(settings, address_, nullptr, &one), Refusal::kNone);
  EXPECT_EQ(control.Enter(settings, address_, nullptr, &two), Refusal::kMaxConnectionsPerIp);
  EXPECT_EQ(control.TopAddresses(10), (KeySessions{{Cidr::Around(address_, 32, 64).text(), 1}}));
}

TEST_F(OtherNodesTest, BlockAddressesHereAndHearOfThoseBlockedHere) {
  settings_.guard.failures = *ParseRate("1/1h");
  LoginGuard& guard = admission_.guard();
  const SocketAddress other = *SocketAddress::Numeric("192.0.2.2", 40000);
  OtherNodes::Counts counts;
  counts.blocked.insert("192.0.2.1/32");
  counts.blocked.insert(Cidr::Around(address_, 32, 64).text());
  Say(std::move(counts));
  EXPECT_TRUE(guard.Blocks(settings_.guard, address_));
  LoginGuard::Attempt attempt;
  EXPECT_EQ(guard.Try(settings_.guard, address_, 1, &attempt), LoginGuard::Answer::kBlocked);
  EXPECT_FALSE(guard.Blocks(settings_.guard, other));
  EXPECT_TRUE(guard.Failed(settings_.guard, other));
  EXPECT_EQ(blocked_, Cidr::Around(other, 32, 64).text());
  others_.NoteUnblock(Cidr::Around(other, 32, 64));
  EXPECT_EQ(unblocked_, blocked_);
  settings_.guard.exempt = *CidrSet::Parse("192.0.2.0/24");
  EXPECT_FALSE(guard.Blocks(settings_.guard, address_)) << "--login-exempt is this process' own";
}

}  // namespace
}  // namespace rum
