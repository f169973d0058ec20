// Which servers are left alone, and for how long.
#include "upstream/outages.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "rum/module.h"

namespace rum {
namespace {

uint64_t now = 0;
uint64_t Clock() { return now; }

class OutagesTest : public testing::Test {
 protected:
  OutagesTest() { now = 1'000'000; }

  // One attempt that fails. False: it was not let through.
  bool Fail(const std::string& server, uint32_t reason = RUM_CLOSE_CONNECT_REFUSED) {
    Outages::Attempt attempt;
    if (outages.Begin(settings, server, &attempt)) return false;
    attempt.Failed(settings, reason);
    return true;
  }
  bool Succeed(const std::string& server) {
    Outages::Attempt attempt;
    if (outages.Begin(settings, server, &attempt)) return false;
    attempt.Succeeded();
    return true;
  }
  bool LetThrough(const std::string& server) {
    Outages::Attempt attempt;
    return !outages.Begin(settings, server, &attempt);
  }
  void Open(const std::string& server) {
    for (uint32_t i = 0; i < settings.failures; ++i) ASSERT_TRUE(Fail(server));
    ASSERT_FALSE(LetThrough(server));
  }
  std::string Sorted(const std::string& list) {
    auto servers = *ParseAddresses(list);
    outages.Sort(&servers);
    std::string text;
    for (const Address& server : servers) text += (text.empty() ? "" : ",") + server.text();
    return text;
  }

  Outages outages{Clock};
  BreakerSettings settings{.failures = 3, .within = Millis(10000)};
};

TEST_F(OutagesTest, AServerThatAnswersAndThenFailsByTlsIsLeftAloneToo) {
  auto fail_by_tls = [&](const std::string& server) {
    Outages::Attempt attempt;
    if (outages.Begin(settings, server, &attempt)) return false;
    attempt.Answered();
    attempt.Answered();
    attempt.Failed(settings, RUM_CLOSE_TLS);
    return true;
  };
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(fail_by_tls("tcp:a:1"));
  EXPECT_FALSE(fail_by_tls("tcp:a:1"));
  EXPECT_EQ(outages.opened(), 1u);
  now += Outages::kFirstPause;
  ASSERT_TRUE(fail_by_tls("tcp:a:1")) << "the trial";
  EXPECT_FALSE(LetThrough("tcp:a:1"));
  now += 2 * Outages::kFirstPause;
  EXPECT_TRUE(Succeed("tcp:a:1"));
  EXPECT_EQ(outages.resting(), 0u);
}

TEST_F(OutagesTest, WhatFollowsTheFirstAnswerIsNoFailureButForTls) {
  for (int i = 0; i < 10; ++i) {
    Outages::Attempt attempt;
    ASSERT_FALSE(outages.Begin(settings, "tcp:a:1", &attempt));
    attempt.Answered();
    attempt.Failed(settings, RUM_CLOSE_UPSTREAM_GONE);
  }
  EXPECT_EQ(outages.opened(), 0u);
}

TEST_F(OutagesTest, AnAnswerIsEnoughForAServerThatFailedOtherwise) {
  Open("tcp:a:1");
  now += Outages::kFirstPause;
  Outages::Attempt attempt;
  ASSERT_FALSE(outages.Begin(settings, "tcp:a:1", &attempt));
  attempt.Answered();
  EXPECT_EQ(outages.resting(), 0u);
  EXPECT_TRUE(LetThrough("tcp:a:1"));
}

// Its client left before TLS: the next one may try.
TEST_F(OutagesTest, AnAttemptThatEndsBetweenAnswerAndTlsGivesTheTrialBack) {
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(Fail("tcp:a:1", RUM_CLOSE_TLS));
  now += Outages::kFirstPause;
  {
    Outages::Attempt attempt;
    ASSERT_FALSE(outages.Begin(settings, "tcp:a:1", &attempt));
    attempt.Answered();
    EXPECT_EQ(outages.resting(), 1u);
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

TEST_F(OutagesTest, AServerIsLeftAloneAfterSoManyFailuresInARow) {
  EXPECT_TRUE(Fail("tcp:a:1"));
  EXPECT_TRUE(Fail("tcp:a:1"));
  EXPECT_TRUE(LetThrough("tcp:a:1"));
  EXPECT_EQ(outages.resting(), 0u);
  EXPECT_TRUE(Fail("tcp:a:1", RUM_CLOSE_CONNECT_TIMEOUT));
  Outages::Attempt attempt;
  auto rest = outages.Begin(settings, "tcp:a:1", &attempt);
  ASSERT_TRUE(rest);
  EXPECT_EQ(rest->reason, static_cast<uint32_t>(RUM_CLOSE_CONNECT_TIMEOUT))
      << "of the last failure";
  EXPECT_EQ(rest->detail, "--breaker");
  EXPECT_TRUE(LetThrough("tcp:b:1")) << "another server";
  EXPECT_EQ(outages.opened(), 1u);
  EXPECT_EQ(outages.skipped(), 1u);
  ASSERT_EQ(outages.List(10).size(), 1u);
  EXPECT_EQ(outages.List(10)[0].server, "tcp:a:1");
  EXPECT_EQ(outages.List(10)[0].milliseconds, Outages::kFirstPause);
}

TEST_F(OutagesTest, ASuccessInBetweenBeginsTheRowAnew) {
  for (int i = 0; i < 20; ++i) {
    EXPECT_TRUE(Fail("tcp:a:1"));
    EXPECT_TRUE(Fail("tcp:a:1"));
    EXPECT_TRUE(Succeed("tcp:a:1"));
  }
  EXPECT_EQ(outages.opened(), 0u);
}

TEST_F(OutagesTest, FailuresThatAreFarApartMakeNoRow) {
  for (int i = 0; i < 20; ++i) {
    EXPECT_TRUE(Fail("tcp:a:1"));
    now += 10001;
  }
  EXPECT_EQ(outages.opened(), 0u);
}

TEST_F(OutagesTest, AfterThePauseOneAttemptIsLetThroughAndTheOthersWaitForIt) {
  Open("tcp:a:1");
  now += Outages::kFirstPause - 1;
  EXPECT_FALSE(LetThrough("tcp:a:1"));
  now += 1;
  Outages::Attempt trial;
  ASSERT_FALSE(outages.Begin(settings, "tcp:a:1", &trial));
  EXPECT_FALSE(LetThrough("tcp:a:1"));
  trial.Succeeded();
  EXPECT_TRUE(LetThrough("tcp:a:1"));
  EXPECT_EQ(outages.resting(), 0u);
}

TEST_F(OutagesTest, ThePauseGrowsUpToItsBound) {
  Open("tcp:a:1");
  for (uint64_t pause = Outages::kFirstPause, i = 0; i < 10; ++i) {
    now += pause - 1;
    EXPECT_FALSE(LetThrough("tcp:a:1"));
    now += 1;
    EXPECT_TRUE(Fail("tcp:a:1"));
    pause = std::min(pause * 2, Outages::kLongestPause);
    EXPECT_EQ(outages.List(1)[0].milliseconds, pause);
  }
  now += Outages::kLongestPause;
  EXPECT_TRUE(Succeed("tcp:a:1"));
  Open("tcp:a:1");
  EXPECT_EQ(outages.List(1)[0].milliseconds, Outages::kFirstPause) << "it begins anew";
}

TEST_F(OutagesTest, ATrialThatEndsWithoutAVerdictIsGivenToTheNext) {
  Open("tcp:a:1");
  now += Outages::kFirstPause;
  EXPECT_TRUE(LetThrough("tcp:a:1"));  // and its client leaves
  EXPECT_TRUE(LetThrough("tcp:a:1"));
  EXPECT_TRUE(Succeed("tcp:a:1"));
}

TEST_F(OutagesTest, WhatWasUnderWayWhenItOpenedChangesNothingByFailing) {
  std::vector<Outages::Attempt> attempts(50);
  for (auto& attempt : attempts) ASSERT_FALSE(outages.Begin(settings, "tcp:a:1", &attempt));
  for (auto& attempt : attempts) attempt.Failed(settings, RUM_CLOSE_CONNECT_TIMEOUT);
  EXPECT_EQ(outages.opened(), 1u);
  EXPECT_EQ(outages.List(1)[0].milliseconds, Outages::kFirstPause);
  Outages::Attempt late;
  now += Outages::kFirstPause;
  ASSERT_FALSE(outages.Begin(settings, "tcp:a:1", &late));
  late.Succeeded();
  late.Failed(settings, RUM_CLOSE_UPSTREAM_GONE);
  EXPECT_TRUE(LetThrough("tcp:a:1")) << "the first verdict counts";
}

TEST_F(OutagesTest, OffLeavesNobodyAlone) {
  settings.failures = 0;
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(Fail("tcp:a:1"));
  EXPECT_EQ(outages.resting(), 0u);
  settings.failures = 3;
  Open("tcp:a:1");
  settings.failures = 0;
  EXPECT_TRUE(LetThrough("tcp:a:1")) << "it was turned off by a reload";
}

TEST_F(OutagesTest, SortsWhatIsLeftAloneOrUnwellBehindTheOthers) {
  EXPECT_EQ(Sorted("tcp:a:1,tcp:b:1,tcp:c:1"), "tcp:a:1,tcp:b:1,tcp:c:1");
  outages.Probed("tcp:a:1", false);
  EXPECT_EQ(Sorted("tcp:a:1,tcp:b:1,tcp:c:1"), "tcp:b:1,tcp:c:1,tcp:a:1");
  EXPECT_TRUE(LetThrough("tcp:a:1")) << "unwell is no reason to refuse when nothing else is there";
  Open("tcp:b:1");
  EXPECT_EQ(Sorted("tcp:a:1,tcp:b:1,tcp:c:1"), "tcp:c:1,tcp:a:1,tcp:b:1");
  outages.Probed("tcp:a:1", true);
  EXPECT_EQ(Sorted("tcp:a:1,tcp:b:1,tcp:c:1"), "tcp:a:1,tcp:c:1,tcp:b:1");
  now += Outages::kFirstPause;
  EXPECT_EQ(Sorted("tcp:b:1,tcp:c:1"), "tcp:b:1,tcp:c:1") << "somebody must try it again";
  Outages::Attempt trial;
  ASSERT_FALSE(outages.Begin(settings, "tcp:b:1", &trial));
  EXPECT_EQ(Sorted("tcp:b:1,tcp:c:1"), "tcp:c:1,tcp:b:1") << "and one is enough";
}

TEST_F(OutagesTest, AProbeThatFindsItWellEndsThePause) {
  Open("tcp:a:1");
  outages.Probed("tcp:a:1", true);
  EXPECT_TRUE(LetThrough("tcp:a:1"));
  EXPECT_EQ(outages.resting(), 0u);
}

// It has left the map: that is forgotten which was wrong with it, and nothing is said of it.
TEST_F(OutagesTest, OneThatIsNotAskedAnyMoreIsForgottenAndNotCalledWell) {
  testing::internal::CaptureStderr();
  Open("tcp:a:1");
  outages.Probed("tcp:a:1", false);
  outages.Unprobed("tcp:a:1");
  EXPECT_EQ(outages.resting(), 0u);
  EXPECT_EQ(Sorted("tcp:a:1,tcp:b:1"), "tcp:a:1,tcp:b:1");
  ASSERT_TRUE(outages.Set("tcp:b:1", Hold::kDrain));
  outages.Unprobed("tcp:b:1");
  EXPECT_EQ(outages.held(), 1u) << "what an operator wants stays";
  outages.Unprobed("tcp:never:1");
  std::string said = testing::internal::GetCapturedStderr();
  EXPECT_EQ(said.find("answers again"), std::string::npos) << said;
  EXPECT_NE(said.find("left alone"), std::string::npos) << said;
}

TEST_F(OutagesTest, AnOperatorTakesAServerOutAndGivesItBack) {
  ASSERT_TRUE(outages.Set("tcp:a:1", Hold::kDrain));
  Outages::Attempt attempt;
  auto rest = outages.Begin(settings, "tcp:a:1", &attempt);
  ASSERT_TRUE(rest);
  EXPECT_EQ(rest->reason, uint32_t{RUM_CLOSE_MAINTENANCE});
  EXPECT_EQ(rest->detail, "rumctl drain");
  EXPECT_EQ(Sorted("tcp:a:1,tcp:b:1"), "tcp:b:1,tcp:a:1");
  outages.Probed("tcp:a:1", true);
  outages.Probed("tcp:a:1", false);
  EXPECT_FALSE(LetThrough("tcp:a:1")) << "whatever probes find";
  ASSERT_EQ(outages.List(10).size(), 1u);
  EXPECT_EQ(outages.List(10)[0].hold, Hold::kDrain);
  EXPECT_EQ(outages.held(), 1u);
  EXPECT_EQ(outages.resting(), 0u);
  ASSERT_TRUE(outages.Set("tcp:a:1", Hold::kMaintenance));
  EXPECT_FALSE(LetThrough("tcp:a:1"));
  now += 100 * 24 * 3600 * 1000ull;
  for (size_t i = 0; i < Outages::kMost + 10; ++i) {
    outages.Probed("tcp:10.0.0.1:" + std::to_string(i), false);
  }
  EXPECT_FALSE(outages.Set("tcp:b:1", Hold::kDrain)) << "there is no room";
  EXPECT_FALSE(LetThrough("tcp:a:1")) << "it is not forgotten for others";
  ASSERT_TRUE(outages.Set("tcp:a:1", Hold::kReady));
  EXPECT_TRUE(LetThrough("tcp:a:1"));
  EXPECT_TRUE(outages.Set("tcp:never:1", Hold::kReady));
  EXPECT_EQ(outages.held(), 0u);
}

TEST_F(OutagesTest, ServersThatFailedOnceAreForgottenAndTheirNumberIsBounded) {
  for (size_t i = 0; i < 100'000; ++i) {
    EXPECT_TRUE(Fail("tcp:10.0.0.1:" + std::to_string(i)));
    now += 10;
  }
  // The last ones cannot be stale yet; that they are bounded shows in what is counted no more.
  Outages full{Clock};
  for (size_t i = 0; i < Outages::kMost; ++i) {
    full.Probed("tcp:10.0.0.1:" + std::to_string(i), false);
  }
  for (int i = 0; i < 10; ++i) {
    Outages::Attempt attempt;
    EXPECT_FALSE(full.Begin(settings, "tcp:new:1", &attempt));
    attempt.Failed(settings, RUM_CLOSE_CONNECT_REFUSED);
  }
  EXPECT_EQ(full.resting(), 0u);
  for (size_t i = 0; i < Outages::kMost; ++i) {
    full.Probed("tcp:10.0.0.1:" + std::to_string(i), true);
  }
  for (int i = 0; i < 3; ++i) {
    Outages::Attempt attempt;
    EXPECT_FALSE(full.Begin(settings, "tcp:new:1", &attempt));
    attempt.Failed(settings, RUM_CLOSE_CONNECT_REFUSED);
  }
  EXPECT_EQ(full.resting(), 1u);
}

}  // namespace
}  // namespace rum
