// Which servers are asked whether they are well, and when. On the real core.
#include "probe/prober.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "proxy/proxy.h"
#include "support/running_proxy.h"
#include "support/timeout.h"

namespace rum {
namespace {

using namespace rum::test;

// All servers that accept are well.
Hooks AskAll() {
  Hooks hooks;
  hooks.probe_open = [](rum_session*, const rum_probe&) { return RUM_OK; };
  hooks.upstream_open = [](rum_session* s, uint32_t reason) {
    if (reason == 0) Close(s, RUM_CLOSE_PROBED);
  };
  return hooks;
}

bool IsWell(RunningProxy& proxy, const std::string& server) {
  return Eventually([&] {
    bool well = false;
    proxy.WithProber([&](Prober& p) {
      auto found = p.destinations().find(server);
      well =
          found != p.destinations().end() && found->second.state == DestinationHealth::State::kUp;
    });
    return well;
  });
}

TEST(Prober, TheFirstRoundIsOverWhenAllHaveBeenAsked) {
  Server one, two;
  Journal journal;
  RunningProxy proxy(AskAll(), [&](Settings& s) {
    for (const Server* server : {&one, &two}) {
      s.destinations.push_back(*ParseAddress(server->address()));
    }
  });
  proxy.WithProber([&](Prober& p) { p.Start([&] { journal.Add("first round"); }); });
  EXPECT_TRUE(journal.WaitFor("first round"));
  EXPECT_TRUE(IsWell(proxy, one.address()));
  EXPECT_TRUE(IsWell(proxy, two.address()));
}

// There may be no map at the start, or an empty one.
TEST(Prober, ServersThatBecomeKnownAfterAStartWithoutAnyAreAsked) {
  Server server;
  Journal journal;
  RunningProxy proxy(AskAll());
  proxy.WithProber([&](Prober& p) { p.Start([&] { journal.Add("first round"); }); });
  EXPECT_EQ(journal.Count("first round"), 1u) << "there is nobody to wait for";
  proxy.WithProber([&](Prober& p) { p.SetMapDestinations({server.address()}); });
  EXPECT_TRUE(IsWell(proxy, server.address()));
  EXPECT_EQ(journal.Count("first round"), 1u);
}

// There is no client whose bytes could flow.
TEST(Prober, AProbeIsHandedOverToNobody) {
  Server server;
  Journal journal;
  Hooks hooks = AskAll();
  hooks.upstream_open = [&](rum_session* s, uint32_t) {
    for (uint32_t side : {RUM_CLIENT, RUM_UPSTREAM}) {
      EXPECT_EQ(host->relay_from(s, side), RUM_E_STATE);
    }
    EXPECT_EQ(host->relay(s), RUM_E_STATE);
    EXPECT_EQ(host->forward(s, RUM_UPSTREAM, 1), RUM_E_STATE);
    Close(s, RUM_CLOSE_PROBED);
  };
  RunningProxy proxy(hooks, [&](Settings& s) {
    s.log_logins = true;
    s.destinations.push_back(*ParseAddress(server.address()));
  });
  proxy.WithProber([&](Prober& p) { p.Start([&] { journal.Add("first round"); }); });
  EXPECT_TRUE(journal.WaitFor("first round"));
  EXPECT_TRUE(IsWell(proxy, server.address()));
  EXPECT_EQ(proxy.Sum(&Counters::relaying), 0u);
  EXPECT_EQ(proxy.Sum(&Counters::logins), 0u);
}

// A map may name many addresses where nobody ever answers, and each probe of one lasts ten seconds.
TEST(Prober, ThoseThatNeverAnswerLeavePlacesToThoseThatDo) {
  Server well;
  std::vector<Server> silent(40);
  Journal journal;
  Hooks hooks;
  hooks.probe_open = [&](rum_session*, const rum_probe& probe) {
    journal.Add(probe.destination == well.address() ? "well" : "silent");
    return RUM_OK;
  };
  hooks.upstream_open = [&](rum_session* s, uint32_t reason) {
    char peer[64] = {};
    host->peer(s, RUM_UPSTREAM, peer, sizeof peer);
    if (reason == 0 && well.address() == "tcp:" + std::string(peer)) Close(s, RUM_CLOSE_PROBED);
  };
  RunningProxy proxy(hooks, [&](Settings& s) {
    s.destinations.push_back(*ParseAddress(well.address()));
    s.health_check = Millis(20);
  });
  proxy.WithProber([&](Prober& p) { p.Start([] {}); });
  ASSERT_TRUE(IsWell(proxy, well.address()));
  std::vector<std::string> all;
  for (const Server& server : silent) all.push_back(server.address());
  proxy.WithProber([&](Prober& p) { p.SetMapDestinations(all); });
  const size_t before = journal.Count("well");
  EXPECT_TRUE(Eventually([&] { return journal.Count("well") >= before + 5; }));
  EXPECT_EQ(journal.Count("silent"), Prober::kNotUpAtOnce);
}

}  // namespace
}  // namespace rum
