// The verdict of the status page: what makes it worse, and how it says so.
#include "admin/verdict.h"

#include <gtest/gtest.h>

#include <initializer_list>
#include <utility>

#include "admin/page_parts.h"
#include "admin/readiness.h"
#include "settings/settings.h"

namespace rum {
namespace {

using Level = Verdict::Level;

ServerList Servers(std::initializer_list<std::pair<ServerState, size_t>> counts) {
  ServerList list;
  for (const auto& [state, count] : counts) {
    list.states[static_cast<size_t>(state)] = count;
    for (size_t i = 0; i < count; ++i) {
      ServerView server;
      server.address = "tcp:db" + std::to_string(list.known++) + ":3306";
      server.state = state;
      list.servers.push_back(server);
    }
  }
  return list;
}

class TheVerdict : public testing::Test {
 protected:
  Verdict Of(const ServerList& servers) {
    facts_.servers = &servers;
    return Judge(facts_);
  }
  TheVerdict() { facts_.now = 1'000'000; }
  VerdictFacts facts_;
  const ServerList up_ = Servers({{ServerState::kUp, 4}});
};

TEST_F(TheVerdict, IsGoodIfAllServersAreUp) {
  const Verdict verdict = Of(up_);
  EXPECT_EQ(verdict.level, Level::kGood);
  EXPECT_EQ(verdict.word, "serving");
  EXPECT_EQ(verdict.Text(), "all 4 servers are up");
}

TEST_F(TheVerdict, NamesTheOneServerThatIsDown) {
  facts_.has_map = true;
  facts_.map_loaded_at = facts_.now - 200;
  facts_.memory = 61;
  facts_.most_memory = 100;
  const Verdict verdict =
      Of(Servers({{ServerState::kDown, 1}, {ServerState::kDrain, 1}, {ServerState::kUp, 298}}));
  EXPECT_EQ(verdict.level, Level::kWarning);
  EXPECT_EQ(verdict.word, "degraded");
  EXPECT_EQ(verdict.Text(),
            "1 of 300 servers is down: tcp:db0:3306 · 1 in drain · map 3m20s old · memory 61 %");
}

TEST_F(TheVerdict, CountsAnOpenCircuitAsDown) {
  const Verdict verdict = Of(Servers(
      {{ServerState::kDown, 1}, {ServerState::kCircuitOpen, 1}, {ServerState::kUnknown, 1}}));
  EXPECT_EQ(verdict.Text(), "2 of 3 servers are down");
  EXPECT_EQ(Of(Servers({{ServerState::kHalfOpen, 1}, {ServerState::kUp, 1}})).Text(),
            "1 circuit half-open");
}

TEST_F(TheVerdict, IsBadIfNoServerCanBeUsed) {
  EXPECT_EQ(Of(Servers({{ServerState::kDown, 300}})).Text(), "all 300 servers are down");
  EXPECT_EQ(Of(Servers({{ServerState::kDown, 300}})).level, Level::kBad);
  EXPECT_EQ(Of(Servers({{ServerState::kDown, 300}})).word, "down");
  EXPECT_EQ(Of(Servers({{ServerState::kCircuitOpen, 1}})).Text(), "the only server is down");
  EXPECT_EQ(Of(Servers({{ServerState::kMaint, 1}})).Text(), "the only server is in maint");
  const Verdict mixed = Of(Servers({{ServerState::kDown, 3}, {ServerState::kMaint, 1}}));
  EXPECT_EQ(mixed.level, Level::kBad);
  EXPECT_EQ(mixed.Text(), "3 of 4 servers are down, the other in drain or maint · 1 in maint");
  EXPECT_EQ(Of(Servers({{ServerState::kDrain, 2}})).level, Level::kBad);
}

TEST_F(TheVerdict, DoesNotCallAServerUpThatNobodyChecked) {
  EXPECT_EQ(Of(Servers({{ServerState::kUnknown, 2}})).Text(), "2 servers, not checked");
  EXPECT_EQ(Of(Servers({{ServerState::kUp, 1}, {ServerState::kUnknown, 1}})).Text(),
            "1 of 2 servers are up, the others not checked yet");
  EXPECT_EQ(Of(ServerList()).Text(), "no server is in use yet");
  EXPECT_EQ(Of(ServerList()).level, Level::kGood);
  facts_.has_map = true;
  facts_.map_loaded_at = facts_.now;
  EXPECT_EQ(Of(ServerList()).level, Level::kWarning);
}

TEST_F(TheVerdict, SaysWhyClientsCannotBeServed) {
  facts_.why_not_ready = "no user map is loaded";
  EXPECT_EQ(Of(up_).word, "down");
  EXPECT_EQ(Of(up_).Text(), "no user map is loaded · all 4 servers are up");
  facts_.draining = true;
  facts_.why_not_ready = "draining";
  EXPECT_EQ(Of(up_).word, "draining");
  EXPECT_EQ(Of(up_).level, Level::kWarning);
}

TEST_F(TheVerdict, CountsOlderProcessesAndWarnsOfOneThatIsSilent) {
  facts_.older = 1;
  facts_.older_sessions = 500;
  EXPECT_EQ(Of(up_).Text(), "all 4 servers are up · 500 sessions in 1 older process");
  EXPECT_EQ(Of(up_).word, "serving");
  facts_.older = 3;
  facts_.older_silent = 1;
  EXPECT_EQ(Of(up_).Text(),
            "1 older process does not answer · all 4 servers are up · 500 sessions in 3 older "
            "processes");
  EXPECT_EQ(Of(up_).word, "degraded");
}

TEST_F(TheVerdict, WarnsBeforeALimitIsReached) {
  facts_.most_sessions = 1000;
  facts_.sessions = 899;
  EXPECT_EQ(Of(up_).level, Level::kGood);
  facts_.sessions = 900;
  EXPECT_EQ(Of(up_).Text(), "sessions 90 % of the limit · all 4 servers are up");
  facts_.sessions = 0;
  facts_.memory = 95;
  facts_.most_memory = 100;
  EXPECT_EQ(Of(up_).Text(), "memory 95 % · all 4 servers are up");
  facts_.most_memory = 0;
  EXPECT_EQ(Of(up_).Text(), "all 4 servers are up · memory 95 B");
}

TEST_F(TheVerdict, WarnsOfTheCertificateTheMapAndStuckWorkers) {
  facts_.certificate_end = facts_.now + 15 * 86400;
  EXPECT_EQ(Of(up_).level, Level::kGood);
  facts_.certificate_end = facts_.now + 3 * 86400;
  EXPECT_EQ(Of(up_).Text(), "the certificate expires in 3d · all 4 servers are up");
  facts_.certificate_end = facts_.now - 1;
  EXPECT_EQ(Of(up_).Text(), "the certificate has expired · all 4 servers are up");
  facts_.certificate_end = 0;
  facts_.workers_stuck = 1;
  EXPECT_EQ(Of(up_).Text(), "1 worker is stuck in the module · all 4 servers are up");
  facts_.workers_stuck = 0;
  facts_.has_map = facts_.map_refused = true;
  facts_.map_loaded_at = facts_.now + 60;  // a clock that was set back
  EXPECT_EQ(Of(up_).Text(), "the new map was refused · all 4 servers are up · map 0s old");
}

TEST(Readiness, NeedsSoManyServersThatAreUp) {
  const ServerList mixed = Servers({{ServerState::kDown, 2},
                                    {ServerState::kCircuitOpen, 1},
                                    {ServerState::kMaint, 1},
                                    {ServerState::kDrain, 1},
                                    {ServerState::kHalfOpen, 1},
                                    {ServerState::kUp, 3},
                                    {ServerState::kUnknown, 1}});
  EXPECT_EQ(WhyTooFewServers({0, false}, ServerList()), "");
  EXPECT_EQ(WhyTooFewServers({5, false}, mixed), "");
  EXPECT_EQ(WhyTooFewServers({6, false}, mixed), "5 of 10 servers are up, --ready-servers wants 6");
  EXPECT_EQ(WhyTooFewServers({50, true}, mixed), "");
  EXPECT_EQ(WhyTooFewServers({51, true}, mixed),
            "5 of 10 servers are up, --ready-servers wants 51 %");
  // A share is not rounded: 2 of 3 are less than 67 %.
  const ServerList three = Servers({{ServerState::kDown, 1}, {ServerState::kUp, 2}});
  EXPECT_EQ(WhyTooFewServers({66, true}, three), "");
  EXPECT_NE(WhyTooFewServers({67, true}, three), "");
  EXPECT_EQ(WhyTooFewServers({1, false}, Servers({{ServerState::kDown, 1}})),
            "0 of 1 server is up, --ready-servers wants 1");
  // All of no servers are up, but not one of them is.
  EXPECT_EQ(WhyTooFewServers({100, true}, ServerList()), "");
  EXPECT_EQ(WhyTooFewServers({1, false}, ServerList()),
            "0 of 0 servers are up, --ready-servers wants 1");
}

TEST(PageParts, NumbersAreForPeople) {
  EXPECT_EQ(Grouped(0), "0");
  EXPECT_EQ(Grouped(999), "999");
  EXPECT_EQ(Grouped(1000), "1,000");
  EXPECT_EQ(Grouped(UINT64_MAX), "18,446,744,073,709,551,615");
  EXPECT_EQ(PerSecond(0), "0");
  EXPECT_EQ(PerSecond(0.2), "0.2");
  EXPECT_EQ(PerSecond(1234.4), "1,234");
}

TEST(PageParts, TextIsNotMarkup) {
  EXPECT_EQ(Html("<a b=\"c\">&\x1b\xe2\x80\xae"),
            "&lt;a b=&quot;c&quot;&gt;&amp;\\x1b\\xe2\\x80\\xae");
}

TEST(PageParts, ACurveFitsItsBox) {
  EXPECT_NE(Curve({}, 120).find("points=\"\""), std::string::npos);
  EXPECT_NE(Curve({0, 0}, 120).find(",47.0"), std::string::npos) << "a line at the bottom";
  const std::string curve = Curve({0, 5, 10}, 3);
  EXPECT_NE(curve.find("points=\"0.0,47.0 150.0,24.5 300.0,2.0 \""), std::string::npos) << curve;
}

}  // namespace
}  // namespace rum
