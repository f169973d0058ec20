// Which logins a pause holds, how many and how long, and what wakes them.
#include "proxy/login_pauses.h"

#include <gtest/gtest.h>

#include <deque>
#include <thread>

namespace rum {
namespace {

using Answer = LoginPauses::Answer;
using Kind = LoginPauses::Kind;

std::vector<uint64_t> woken;

class LoginPausesTest : public testing::Test {
 protected:
  LoginPausesTest() { woken.clear(); }
  ~LoginPausesTest() override { event_base_free(base_); }

  void RunFor(Millis time) {
    timeval tv = TimevalOf(time);
    event_base_loopexit(base_, &tv);
    event_base_dispatch(base_);
  }
  Answer Hold(const LoginPauses::Login& login, LoginPauses::Place* place, uint64_t ticket = 1) {
    return pauses_->Hold(login, ticket, place);
  }

  event_base* base_ = event_base_new();
  std::unique_ptr<LoginPauses> pauses_ =
      std::make_unique<LoginPauses>(base_, [](uint64_t ticket) { woken.push_back(ticket); });
};

TEST_F(LoginPausesTest, HoldTheirUserOrServerOnly) {
  EXPECT_TRUE(pauses_->none());
  ASSERT_TRUE(pauses_->Begin(Kind::kUser, "alice", Millis(10000)).ok());
  ASSERT_TRUE(pauses_->Begin(Kind::kServer, "tcp:b:1", Millis(10000)).ok());
  EXPECT_FALSE(pauses_->none());
  LoginPauses::Place place;
  EXPECT_EQ(Hold({"bob", "bob", "tcp:a:1,tcp:b:10"}, &place), Answer::kGo);
  EXPECT_EQ(Hold({"alic", "alicex", ""}, &place), Answer::kGo);
  EXPECT_EQ(Hold({"alice", "", ""}, &place), Answer::kHeld);
  EXPECT_EQ(Hold({"", "alice", ""}, &place), Answer::kHeld);
  EXPECT_EQ(Hold({"bob", "bob", "tcp:a:1,tcp:b:1"}, &place), Answer::kHeld);
  EXPECT_EQ(pauses_->held(), 1u) << "a place is one login";
  place.Leave();
  EXPECT_EQ(pauses_->held(), 0u);
}

TEST_F(LoginPausesTest, WakeEachLoginOnceWhenTheyEnd) {
  ASSERT_TRUE(pauses_->Begin(Kind::kUser, "alice", Millis(10000)).ok());
  std::deque<LoginPauses::Place> places(3);
  for (uint64_t i = 0; i < 3; ++i) ASSERT_EQ(Hold({"alice", "", ""}, &places[i], i), Answer::kHeld);
  places[1].Leave();
  EXPECT_EQ(pauses_->End(Kind::kServer, "alice"), std::nullopt);
  EXPECT_EQ(pauses_->End(Kind::kUser, "alice"), 2u);
  EXPECT_EQ(woken, (std::vector<uint64_t>{0, 2}));
  EXPECT_EQ(pauses_->held(), 0u);
  EXPECT_EQ(pauses_->End(Kind::kUser, "alice"), std::nullopt);
  EXPECT_EQ(Hold({"alice", "", ""}, &places[0]), Answer::kGo);
}

TEST_F(LoginPausesTest, EndByTheirTime) {
  ASSERT_TRUE(pauses_->Begin(Kind::kUser, "alice", Millis(20)).ok());
  ASSERT_TRUE(pauses_->Begin(Kind::kUser, "bob", Millis(10000)).ok());
  ASSERT_TRUE(pauses_->Begin(Kind::kUser, "carol", Millis(20)).ok());
  ASSERT_TRUE(pauses_->Begin(Kind::kUser, "carol", Millis(10000)).ok());
  std::deque<LoginPauses::Place> places(3);
  ASSERT_EQ(Hold({"alice", "", ""}, &places[0], 1), Answer::kHeld);
  ASSERT_EQ(Hold({"bob", "", ""}, &places[1], 2), Answer::kHeld);
  ASSERT_EQ(Hold({"carol", "", ""}, &places[2], 3), Answer::kHeld);
  for (int i = 0; i < 1000 && woken.empty(); ++i) RunFor(Millis(10));
  RunFor(Millis(50));
  EXPECT_EQ(woken, std::vector<uint64_t>{1});
  EXPECT_EQ(pauses_->List().size(), 2u);
}

TEST_F(LoginPausesTest, AreBoundedInNumber) {
  for (size_t i = 0; i < LoginPauses::kMost; ++i) {
    ASSERT_TRUE(pauses_->Begin(Kind::kUser, "user" + std::to_string(i), Millis(10000)).ok());
  }
  EXPECT_FALSE(pauses_->Begin(Kind::kUser, "one more", Millis(10000)).ok());
  EXPECT_TRUE(pauses_->Begin(Kind::kUser, "user1", Millis(10000)).ok());
  std::deque<LoginPauses::Place> places(LoginPauses::kHeldMost + 1);
  for (size_t i = 0; i < LoginPauses::kHeldMost; ++i) {
    const std::string user = "user" + std::to_string(i % 2);
    ASSERT_EQ(Hold({user, "", ""}, &places[i]), Answer::kHeld);
  }
  EXPECT_EQ(Hold({"user1", "", ""}, &places.back()), Answer::kFull);
  EXPECT_EQ(Hold({"bob", "", ""}, &places.back()), Answer::kGo);
  places[0].Leave();
  EXPECT_EQ(Hold({"user1", "", ""}, &places.back()), Answer::kHeld);
}

TEST_F(LoginPausesTest, MayEndWhileLoginsLeave) {
  std::deque<LoginPauses::Place> places(500);
  for (int round = 0; round < 20; ++round) {
    ASSERT_TRUE(pauses_->Begin(Kind::kUser, "alice", Millis(10000)).ok());
    for (auto& place : places) ASSERT_EQ(Hold({"alice", "", ""}, &place), Answer::kHeld);
    std::thread leaver([&] {
      for (auto& place : places) place.Leave();
    });
    pauses_->End(Kind::kUser, "alice");
    leaver.join();
    EXPECT_EQ(pauses_->held(), 0u);
  }
}

}  // namespace
}  // namespace rum
