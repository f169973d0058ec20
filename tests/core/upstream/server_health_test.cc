// Which circuits open, and for how long; servers that are down or disabled.
#include "upstream/server_health.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "rum/module.h"

namespace rum {
namespace {

uint64_t now = 0;
uint64_t Clock() { return now; }

class ServerHealthTest : public testing::Test {
 protected:
  ServerHealthTest() { now = 1'000'000; }

  // One attempt that fails. False: it was not let through.
  bool Fail(const std::string& server, uint32_t reason = RUM_CLOSE_CONNECT_REFUSED) {
    ServerHealth::Attempt attempt;
    if (server_health.Begin(settings, server, others, &attempt)) return false;
    attempt.Failed(settings, reason);
    return true;
  }
  bool Succeed(const std::string& server) {
    ServerHealth::Attempt attempt;
    if (server_health.Begin(settings, server, others, &attempt)) return false;
    attempt.Succeeded();
    return true;
  }
  bool LetThrough(const std::string& server) {
    ServerHealth::Attempt attempt;
    return !server_health.Begin(settings, server, others, &attempt);
  }
  void Open(const std::string& server) {
    for (uint32_t i = 0; i < settings.failures; ++i) ASSERT_TRUE(Fail(server));
    ASSERT_FALSE(LetThrough(server));
  }
  std::string Sorted(const std::string& list) {
    auto servers = *ParseAddresses(list);
    server_health.Sort(&servers);
    std::string text;
    for (const Address& server : servers) text += (text.empty() ? "" : ",") + server.text();
    return text;
  }

  ServerHealth::Others others = ServerHealth::Others::kSome;
  ServerHealth server_health{Clock};
  BreakerSettings settings{.failures = 3, .within = Millis(10000)};
};

TEST_F(ServerHealthTest, TheCircuitOfAServerThatAnswersAndThenFailsByTlsOpensToo) {
  auto fail_by_tls = [&](const std::string& server) {
    ServerHealth::Attempt attempt;
    if (server_health.Begin(settings, server, others, &attempt)) return false;
    attempt.Answered();
    attempt.Answered();
    attempt.Failed(settings, RUM_CLOSE_TLS);
    return true;
  };
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(fail_by_tls("tcp:a:1"));
  EXPECT_FALSE(fail_by_tls("tcp:a:1"));
  EXPECT_EQ(server_health.opened(), 1u);
  now += ServerHealth::kFirstPause;
  ASSERT_TRUE(fail_by_tls("tcp:a:1")) << "the trial";
  EXPECT_FALSE(LetThrough("tcp:a:1"));
  now += 2 * ServerHealth::kFirstPause;
  EXPECT_TRUE(Succeed("tcp:a:1"));
  EXPECT_EQ(server_health.open(), 0u);
}

TEST_F(ServerHealthTest, PausesForASecondAtMostWithoutAnotherServer) {
  others = ServerHealth::Others::kNone;
  Open("tcp:a:1");
  for (int i = 0; i < 5; ++i) {
    now += ServerHealth::kFirstPause - 1;
    EXPECT_FALSE(LetThrough("tcp:a:1"));
    ++now;
    EXPECT_TRUE(Fail("tcp:a:1"));
  }
  // Of sessions with another server it is the usual one.
  now += ServerHealth::kFirstPause;
  others = ServerHealth::Others::kSome;
  EXPECT_TRUE(Fail("tcp:a:1"));
  now += 2 * ServerHealth::kFirstPause - 1;
  EXPECT_FALSE(LetThrough("tcp:a:1"));
  others = ServerHealth::Others::kNone;
  EXPECT_TRUE(Fail("tcp:a:1")) << "after a second";
  others = ServerHealth::Others::kSome;
  now += ServerHealth::kFirstPause;
  EXPECT_FALSE(LetThrough("tcp:a:1"));
  others = ServerHealth::Others::kNone;
  EXPECT_TRUE(Succeed("tcp:a:1"));
  EXPECT_EQ(server_health.open(), 0u);
}

TEST_F(ServerHealthTest, WhatFollowsTheFirstAnswerIsNoFailureButForTls) {
  for (int i = 0; i < 10; ++i) {
    ServerHealth::Attempt attempt;
    ASSERT_FALSE(server_health.Begin(settings, "tcp:a:1", others, &attempt));
    attempt.Answered();
    attempt.Failed(settings, RUM_CLOSE_UPSTREAM_GONE);
  }
  EXPECT_EQ(server_health.opened(), 0u);
}

TEST_F(ServerHealthTest, AnAnswerIsEnoughForAServerThatFailedOtherwise) {
  Open("tcp:a:1");
  now += ServerHealth::kFirstPause;
  ServerHealth::Attempt attempt;
  ASSERT_FALSE(server_health.Begin(settings, "tcp:a:1", others, &attempt));
  attempt.Answered();
  EXPECT_EQ(server_health.open(), 0u);
  EXPECT_TRUE(LetThrough("tcp:a:1"));
}

// Its client left before TLS: the next one may try.
TEST_F(ServerHealthTest, AnAttemptThatEndsBetweenAnswerAndTlsGivesTheTrialBack) {
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(Fail("tcp:a:1", RUM_CLOSE_TLS));
  now += ServerHealth::kFirstPause;
  {
    ServerHealth::Attempt attempt;
    ASSERT_FALSE(server_health.Begin(settings, "tcp:a:1", others, &attempt));
    attempt.Answered();
    EXPECT_EQ(server_health.open(), 1u);
    EXPECT_FALSE(LetThrough("tcp:a:1"));
  }
  EXPECT_TRUE(LetThrough("tcp:a:1"));
}

TEST(Breaker, IsReadAsFailuresWithinATime) {
  EXPECT_EQ(ParseBreaker("5/10s")->failures, 5u);
  EXPECT_EQ(ParseBreaker("5/10s")->within, Millis(10000));
  EXPECT_EQ(ParseBreaker("1/250ms")->within, Millis(250));
  EXPECT_EQ(ParseBreaker("off")->failures, 0u);
  for (const char* wrong : {"", "5", "/10s", "5/", "0/10s", "-1/10s", "5/off", "5/0", "5/11m",
                            "x/10s", "5 /10s", "5/10s/2", "99999999999/10s"}) {
    EXPECT_FALSE(ParseBreaker(wrong)) << wrong;
  }
}

TEST_F(ServerHealthTest, TheCircuitOpensAfterSoManyFailuresInARow) {
  EXPECT_TRUE(Fail("tcp:a:1"));
  EXPECT_TRUE(Fail("tcp:a:1"));
  EXPECT_TRUE(LetThrough("tcp:a:1"));
  EXPECT_EQ(server_health.open(), 0u);
  EXPECT_TRUE(Fail("tcp:a:1", RUM_CLOSE_CONNECT_TIMEOUT));
  ServerHealth::Attempt attempt;
  auto rest = server_health.Begin(settings, "tcp:a:1", others, &attempt);
  ASSERT_TRUE(rest);
  EXPECT_EQ(rest->reason, static_cast<uint32_t>(RUM_CLOSE_CONNECT_TIMEOUT))
      << "of the last failure";
  EXPECT_EQ(rest->detail, "--breaker");
  EXPECT_TRUE(LetThrough("tcp:b:1")) << "another server";
  EXPECT_EQ(server_health.opened(), 1u);
  EXPECT_EQ(server_health.skipped(), 1u);
  ASSERT_EQ(server_health.List(10).size(), 1u);
  EXPECT_EQ(server_health.List(10)[0].server, "tcp:a:1");
  EXPECT_EQ(server_health.List(10)[0].milliseconds, ServerHealth::kFirstPause);
}

TEST_F(ServerHealthTest, ASuccessInBetweenBeginsTheRowAnew) {
  for (int i = 0; i < 20; ++i) {
    EXPECT_TRUE(Fail("tcp:a:1"));
    EXPECT_TRUE(Fail("tcp:a:1"));
    EXPECT_TRUE(Succeed("tcp:a:1"));
  }
  EXPECT_EQ(server_health.opened(), 0u);
}

TEST_F(ServerHealthTest, FailuresThatAreFarApartMakeNoRow) {
  for (int i = 0; i < 20; ++i) {
    EXPECT_TRUE(Fail("tcp:a:1"));
    now += 10001;
  }
  EXPECT_EQ(server_health.opened(), 0u);
}

TEST_F(ServerHealthTest, AfterThePauseOneAttemptIsLetThroughAndTheOthersWaitForIt) {
  Open("tcp:a:1");
  now += ServerHealth::kFirstPause - 1;
  EXPECT_FALSE(LetThrough("tcp:a:1"));
  now += 1;
  ServerHealth::Attempt trial;
  ASSERT_FALSE(server_health.Begin(settings, "tcp:a:1", others, &trial));
  EXPECT_FALSE(LetThrough("tcp:a:1"));
  trial.Succeeded();
  EXPECT_TRUE(LetThrough("tcp:a:1"));
  EXPECT_EQ(server_health.open(), 0u);
}

TEST_F(ServerHealthTest, ThePauseGrowsUpToItsBound) {
  Open("tcp:a:1");
  for (uint64_t pause = ServerHealth::kFirstPause, i = 0; i < 10; ++i) {
    now += pause - 1;
    EXPECT_FALSE(LetThrough("tcp:a:1"));
    now += 1;
    EXPECT_TRUE(Fail("tcp:a:1"));
    pause = std::min(pause * 2, ServerHealth::kLongestPause);
    EXPECT_EQ(server_health.List(1)[0].milliseconds, pause);
  }
  now += ServerHealth::kLongestPause;
  EXPECT_TRUE(Succeed("tcp:a:1"));
  Open("tcp:a:1");
  EXPECT_EQ(server_health.List(1)[0].milliseconds, ServerHealth::kFirstPause) << "it begins anew";
}

TEST_F(ServerHealthTest, ATrialThatEndsWithoutAVerdictIsGivenToTheNext) {
  Open("tcp:a:1");
  now += ServerHealth::kFirstPause;
  EXPECT_TRUE(LetThrough("tcp:a:1"));  // and its client leaves
  EXPECT_TRUE(LetThrough("tcp:a:1"));
  EXPECT_TRUE(Succeed("tcp:a:1"));
}

TEST_F(ServerHealthTest, WhatWasUnderWayWhenItOpenedChangesNothingByFailing) {
  std::vector<ServerHealth::Attempt> attempts(50);
  for (auto& attempt : attempts)
    ASSERT_FALSE(server_health.Begin(settings, "tcp:a:1", others, &attempt));
  for (auto& attempt : attempts) attempt.Failed(settings, RUM_CLOSE_CONNECT_TIMEOUT);
  EXPECT_EQ(server_health.opened(), 1u);
  EXPECT_EQ(server_health.List(1)[0].milliseconds, ServerHealth::kFirstPause);
  ServerHealth::Attempt late;
  now += ServerHealth::kFirstPause;
  ASSERT_FALSE(server_health.Begin(settings, "tcp:a:1", others, &late));
  late.Succeeded();
  late.Failed(settings, RUM_CLOSE_UPSTREAM_GONE);
  EXPECT_TRUE(LetThrough("tcp:a:1")) << "the first verdict counts";
}

TEST_F(ServerHealthTest, OffLeavesNobodyAlone) {
  settings.failures = 0;
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(Fail("tcp:a:1"));
  EXPECT_EQ(server_health.open(), 0u);
  settings.failures = 3;
  Open("tcp:a:1");
  settings.failures = 0;
  EXPECT_TRUE(LetThrough("tcp:a:1")) << "it was turned off by a reload";
}

TEST_F(ServerHealthTest, SortsOpenCircuitsAndServersThatAreDownBehindTheOthers) {
  EXPECT_EQ(Sorted("tcp:a:1,tcp:b:1,tcp:c:1"), "tcp:a:1,tcp:b:1,tcp:c:1");
  server_health.Probed("tcp:a:1", false);
  EXPECT_EQ(Sorted("tcp:a:1,tcp:b:1,tcp:c:1"), "tcp:b:1,tcp:c:1,tcp:a:1");
  EXPECT_TRUE(LetThrough("tcp:a:1")) << "down is no reason to refuse when nothing else is there";
  Open("tcp:b:1");
  EXPECT_EQ(Sorted("tcp:a:1,tcp:b:1,tcp:c:1"), "tcp:c:1,tcp:a:1,tcp:b:1");
  server_health.Probed("tcp:a:1", true);
  EXPECT_EQ(Sorted("tcp:a:1,tcp:b:1,tcp:c:1"), "tcp:a:1,tcp:c:1,tcp:b:1");
  now += ServerHealth::kFirstPause;
  EXPECT_EQ(Sorted("tcp:b:1,tcp:c:1"), "tcp:b:1,tcp:c:1") << "somebody must try it again";
  ServerHealth::Attempt trial;
  ASSERT_FALSE(server_health.Begin(settings, "tcp:b:1", others, &trial));
  EXPECT_EQ(Sorted("tcp:b:1,tcp:c:1"), "tcp:c:1,tcp:b:1") << "and one is enough";
}

TEST_F(ServerHealthTest, AProbeThatFindsItWellEndsThePause) {
  Open("tcp:a:1");
  server_health.Probed("tcp:a:1", true);
  EXPECT_TRUE(LetThrough("tcp:a:1"));
  EXPECT_EQ(server_health.open(), 0u);
}

// It has left the map: that is forgotten which was wrong with it, and nothing is said of it.
TEST_F(ServerHealthTest, OneThatIsNotAskedAnyMoreIsForgottenAndNotCalledWell) {
  testing::internal::CaptureStderr();
  Open("tcp:a:1");
  server_health.Probed("tcp:a:1", false);
  server_health.Unprobed("tcp:a:1");
  EXPECT_EQ(server_health.open(), 0u);
  EXPECT_EQ(Sorted("tcp:a:1,tcp:b:1"), "tcp:a:1,tcp:b:1");
  ASSERT_TRUE(server_health.Set("tcp:b:1", AdminState::kDrain));
  server_health.Unprobed("tcp:b:1");
  EXPECT_EQ(server_health.disabled(), 1u) << "what an operator wants stays";
  server_health.Unprobed("tcp:never:1");
  std::string said = testing::internal::GetCapturedStderr();
  EXPECT_EQ(said.find("answers again"), std::string::npos) << said;
  EXPECT_NE(said.find("its circuit is open"), std::string::npos) << said;
}

TEST_F(ServerHealthTest, AnOperatorTakesAServerOutAndGivesItBack) {
  ASSERT_TRUE(server_health.Set("tcp:a:1", AdminState::kDrain));
  ServerHealth::Attempt attempt;
  auto rest = server_health.Begin(settings, "tcp:a:1", others, &attempt);
  ASSERT_TRUE(rest);
  EXPECT_EQ(rest->reason, uint32_t{RUM_CLOSE_MAINTENANCE});
  EXPECT_EQ(rest->detail, "rumctl drain");
  EXPECT_EQ(Sorted("tcp:a:1,tcp:b:1"), "tcp:b:1,tcp:a:1");
  server_health.Probed("tcp:a:1", true);
  server_health.Probed("tcp:a:1", false);
  EXPECT_FALSE(LetThrough("tcp:a:1")) << "whatever probes find";
  ASSERT_EQ(server_health.List(10).size(), 1u);
  EXPECT_EQ(server_health.List(10)[0].admin, AdminState::kDrain);
  EXPECT_EQ(server_health.disabled(), 1u);
  EXPECT_EQ(server_health.open(), 0u);
  ASSERT_TRUE(server_health.Set("tcp:a:1", AdminState::kMaintenance));
  EXPECT_FALSE(LetThrough("tcp:a:1"));
  now += 100 * 24 * 3600 * 1000ull;
  for (size_t i = 0; i < ServerHealth::kMost + 10; ++i) {
    server_health.Probed("tcp:10.0.0.1:" + std::to_string(i), false);
  }
  EXPECT_FALSE(server_health.Set("tcp:b:1", AdminState::kDrain)) << "there is no room";
  EXPECT_FALSE(LetThrough("tcp:a:1")) << "it is not forgotten for others";
  ASSERT_TRUE(server_health.Set("tcp:a:1", AdminState::kReady));
  EXPECT_TRUE(LetThrough("tcp:a:1"));
  EXPECT_TRUE(server_health.Set("tcp:never:1", AdminState::kReady));
  EXPECT_EQ(server_health.disabled(), 0u);
}

TEST_F(ServerHealthTest, ServersThatFailedOnceAreForgottenAndTheirNumberIsBounded) {
  for (size_t i = 0; i < 100'000; ++i) {
    EXPECT_TRUE(Fail("tcp:10.0.0.1:" + std::to_string(i)));
    now += 10;
  }
  // The last ones cannot be stale yet; that they are bounded shows in what is counted no more.
  ServerHealth full{Clock};
  for (size_t i = 0; i < ServerHealth::kMost; ++i) {
    full.Probed("tcp:10.0.0.1:" + std::to_string(i), false);
  }
  for (int i = 0; i < 10; ++i) {
    ServerHealth::Attempt attempt;
    EXPECT_FALSE(full.Begin(settings, "tcp:new:1", others, &attempt));
    attempt.Failed(settings, RUM_CLOSE_CONNECT_REFUSED);
  }
  EXPECT_EQ(full.open(), 0u);
  for (size_t i = 0; i < ServerHealth::kMost; ++i) {
    full.Probed("tcp:10.0.0.1:" + std::to_string(i), true);
  }
  for (int i = 0; i < 3; ++i) {
    ServerHealth::Attempt attempt;
    EXPECT_FALSE(full.Begin(settings, "tcp:new:1", others, &attempt));
    attempt.Failed(settings, RUM_CLOSE_CONNECT_REFUSED);
  }
  EXPECT_EQ(full.open(), 1u);
}

}  // namespace
}  // namespace rum
