// What refused clients see, and how they are counted and logged; and servers to which too many are
// on their way.
#include <gtest/gtest.h>

#include <string>

#include "limits/access_control.h"
#include "proxy/proxy.h"
#include "proxy/worker.h"
#include "support/running_proxy.h"
#include "support/timeout.h"

namespace rum {
namespace {

using namespace rum::test;

Hooks Refusing(Journal* journal) {
  Hooks hooks;
  hooks.session_open = [journal](rum_session* s) {
    journal->Add("open");
    return Send(s, RUM_CLIENT, "in");
  };
  hooks.client_data = [](rum_session*, std::string_view) -> int64_t { return 0; };
  hooks.refusal = [](uint32_t reason, uint8_t* bytes, size_t size) {
    std::string text = "refused " + std::to_string(reason);
    return text.copy(reinterpret_cast<char*>(bytes), size);
  };
  return hooks;
}

uint64_t ClientsRefused(RunningProxy& proxy, Refusal refusal) {
  uint64_t sum = 0;
  for (const auto& worker : proxy.proxy().workers()) {
    sum += worker->counters.clients_refused[static_cast<size_t>(refusal)].get();
  }
  return sum;
}

TEST(RefusedClients, IsToldInTheWordsOfTheModuleAndCounted) {
  Journal journal;
  RunningProxy proxy(Refusing(&journal), [](Settings& s) {
    s.access_control.deny = *AccessList::Parse("127.0.0.0/8");
  });
  Peer client = proxy.Client();
  EXPECT_EQ(client.ReceiveAll(), "refused " + std::to_string(RUM_CLOSE_NOT_ALLOWED));
  auto end = proxy.NextEnd();
  EXPECT_EQ(end.value("reason", ""), "not_allowed");
  EXPECT_EQ(end.value("detail", ""), "in --deny");
  EXPECT_EQ(ClientsRefused(proxy, Refusal::kDeny), 1u);
  EXPECT_EQ(journal.Count("open"), 0u);
}

TEST(RefusedClients, ByTheListsOfAListenerWhatPortItHasBeenGiven) {
  Journal journal;
  RunningProxy proxy(Refusing(&journal), [](Settings& s) {
    s.access_control.by_listener["tcp:127.0.0.1:0"].deny = *AccessList::Parse("127.0.0.0/8");
  });
  Peer client = proxy.Client();
  client.ReceiveAll();
  EXPECT_EQ(proxy.NextReason(), "not_allowed");
}

TEST(RefusedClients, IsJudgedByTheAddressOfTheHeader) {
  Journal journal;
  RunningProxy proxy(Refusing(&journal), [](Settings& s) {
    s.proxy_from = *CidrSet::Parse("127.0.0.1");
    s.access_control.allow = *AccessList::Parse("192.0.2.0/24");
  });
  Peer good = proxy.Client();
  EXPECT_TRUE(good.Send("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n"));
  EXPECT_EQ(good.Receive(2), "in");
  Peer bad = proxy.Client();
  EXPECT_TRUE(bad.Send("PROXY TCP4 198.51.100.1 192.0.2.2 1 2\r\n"));
  EXPECT_EQ(bad.ReceiveAll(), "refused " + std::to_string(RUM_CLOSE_NOT_ALLOWED));
  auto end = proxy.NextEnd();
  EXPECT_EQ(end.value("client", ""), "198.51.100.1:1");
  EXPECT_EQ(end.value("detail", ""), "not in --allow");
}

TEST(RefusedClients, SaysNothingInFrontOfTls) {
  Journal journal;
  RunningProxy proxy(Refusing(&journal), [](Settings& s) {
    s.listeners[0].tls = true;
    s.tls.first = true;
    s.access_control.deny = *AccessList::Parse("127.0.0.1");
  });
  Peer client = Peer::Connect("tcp:" + proxy.address().substr(4));
  EXPECT_EQ(client.ReceiveAll(), "");
  EXPECT_EQ(proxy.NextReason(), "not_allowed");
}

TEST(RefusedClients, GivesItsPlaceBackAtOnce) {
  Journal journal;
  RunningProxy proxy(Refusing(&journal), [](Settings& s) { s.access_control.max_connections = 1; });
  for (int i = 0; i < 3; ++i) {
    Peer client = proxy.Client();
    EXPECT_EQ(client.Receive(2), "in");
    Peer other = proxy.Client();
    EXPECT_EQ(other.ReceiveAll(), "refused " + std::to_string(RUM_CLOSE_LIMIT));
    EXPECT_EQ(proxy.NextReason(), "limit");
    client.Reset();
    EXPECT_EQ(proxy.NextReason(), "client_gone");
  }
  EXPECT_EQ(ClientsRefused(proxy, Refusal::kMaxConnections), 3u);
}

// Connects at once; "go" begins the relay.
Hooks Connecting() {
  Hooks hooks;
  hooks.session_open = [](rum_session* s) { return Connect(s, ""); };
  hooks.upstream_open = [](rum_session* s, uint32_t reason) {
    Send(s, RUM_CLIENT, "[" + std::to_string(reason) + "]");
  };
  hooks.client_data = [](rum_session* s, std::string_view bytes) {
    host->relay(s);
    return static_cast<int64_t>(bytes.size());
  };
  return hooks;
}

TEST(TooManyOnTheirWay, AreCountedUntilTheirLoginIsOver) {
  Server server;
  RunningProxy proxy(Connecting(), [&](Settings& s) {
    s.access_control.max_connecting_per_destination = 1;
    s.destinations.push_back(*ParseAddress(server.address()));
  });
  Peer first = proxy.Client();
  EXPECT_EQ(first.Receive(3), "[0]");
  Peer second = proxy.Client();
  EXPECT_EQ(second.ReceiveAll(), "[" + std::to_string(RUM_CLOSE_LIMIT) + "]");
  auto end = proxy.NextEnd();
  EXPECT_EQ(end.value("reason", ""), "limit");
  EXPECT_EQ(end.value("detail", ""), "--max-connecting-per-destination");
  EXPECT_EQ(end.value("destination", ""), server.address());
  EXPECT_EQ(ClientsRefused(proxy, Refusal::kMaxConnectingPerDestination), 1u);
  Peer upstream = server.Accept();
  first.Send("go");
  ASSERT_TRUE(Eventually([&] { return proxy.Sum(&Counters::relaying) == 1; }));
  Peer third = proxy.Client();
  EXPECT_EQ(third.Receive(3), "[0]");
}

TEST(TooManyOnTheirWay, GoToTheNextDestinationOfTheList) {
  Server busy, other;
  RunningProxy proxy(Connecting(), [&](Settings& s) {
    s.access_control.max_connecting_per_destination = 1;
    for (Server* server : {&busy, &other}) {
      s.destinations.push_back(*ParseAddress(server->address()));
    }
  });
  Peer first = proxy.Client();
  EXPECT_EQ(first.Receive(3), "[0]");
  Peer second = proxy.Client();
  EXPECT_EQ(second.Receive(3), "[0]");
  Peer upstream = other.Accept();
  Peer third = proxy.Client();
  EXPECT_EQ(third.ReceiveAll(), "[" + std::to_string(RUM_CLOSE_LIMIT) + "]");
}

TEST(TooManyOnTheirWay, AreCountedAfterAReloadToo) {
  Server server;
  RunningProxy proxy(Connecting(), [&](Settings& s) {
    s.destinations.push_back(*ParseAddress(server.address()));
  });
  Peer first = proxy.Client();
  EXPECT_EQ(first.Receive(3), "[0]");
  proxy.OnMain([](Proxy& p) {
    auto fresh = std::make_shared<Settings>(*p.settings());
    fresh->access_control.max_connecting_per_destination = 1;
    p.Reload(fresh, p.module_config());
  });
  ASSERT_TRUE(Eventually([&] { return proxy.proxy().access_control().destinations() == 1; }));
  Peer second = proxy.Client();
  EXPECT_EQ(second.ReceiveAll(), "[" + std::to_string(RUM_CLOSE_LIMIT) + "]");
}

}  // namespace
}  // namespace rum
