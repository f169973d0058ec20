// Connections that outlive their session ("rum.keep/1"), on the real core. The protocol of the
// test: a client leaves by "bye\n"; the server says "clean" when it is asked "clean?".
#include <gtest/gtest.h>

#include <string>

#include "proxy/proxy.h"
#include "support/running_proxy.h"
#include "support/timeout.h"

namespace rum {
namespace {

using namespace std::chrono_literals;
using namespace rum::test;

constexpr char kKey[] = "key";

const rum_keep& Calls() { return *static_cast<const rum_keep*>(host->extension(RUM_KEEP_1)); }

// What upstream_open tells the client: "new\n", or "taken VALUE\n".
void Tell(rum_session* s) {
  char value[RUM_MOST_KEEP_VALUE];
  size_t size = sizeof value;
  const bool taken = Calls().taken(s, value, &size) == RUM_FOUND;
  Send(s, RUM_CLIENT, taken ? "taken " + std::string(value, size) + "\n" : "new\n");
}

void Flow(rum_session* s) {
  EXPECT_EQ(host->relay_from(s, RUM_UPSTREAM), RUM_OK);
  EXPECT_EQ(Calls().forward_until(s, RUM_CLIENT, "bye\n", 4), RUM_OK);
}

Hooks Keeper(const Server& server, uint32_t most = 2, uint64_t milliseconds = 60000) {
  Hooks hooks;
  hooks.session_open = [&](rum_session* s) {
    EXPECT_EQ(Calls().want(s, kKey, sizeof kKey), RUM_OK);
    return Connect(s, server.address());
  };
  hooks.upstream_open = [](rum_session* s, uint32_t) {
    Tell(s);
    Flow(s);
  };
  hooks.client_data = [](rum_session* s, std::string_view bytes) -> int64_t {
    if (host->need(s, RUM_UPSTREAM, 0) != RUM_E_STATE) return 0;  // it is not connected yet
    EXPECT_TRUE(bytes.ends_with("bye\n")) << bytes;
    EXPECT_EQ(host->take_back(s, RUM_UPSTREAM), RUM_OK);
    EXPECT_EQ(Calls().part(s), RUM_OK);
    Send(s, RUM_UPSTREAM, "clean?");
    return static_cast<int64_t>(bytes.size());
  };
  hooks.upstream_data = [=](rum_session* s, std::string_view bytes) -> int64_t {
    int32_t status = RUM_E_FAILED;
    if (bytes == "clean") {
      status = Calls().keep(s, kKey, sizeof kKey, "value", 5, most, milliseconds);
    }
    if (status != RUM_OK) host->close(s, RUM_CLOSE_CLIENT, "", 0);
    return static_cast<int64_t>(bytes.size());
  };
  return hooks;
}

// The server's end of a session that has begun anew, and that leaves its connection.
Peer Leave(RunningProxy& proxy, Server& server) {
  Peer client = proxy.Client();
  EXPECT_EQ(client.Receive(4), "new\n");
  Peer upstream = server.Accept();
  client.Send("bye\n");
  EXPECT_EQ(upstream.Receive(6), "clean?");
  upstream.Send("clean");
  EXPECT_EQ(client.WaitForEnd(), Ending::kEnd);
  EXPECT_EQ(proxy.NextEnd()["reason"], "client_closed");
  return upstream;
}

TEST(Keep, ALaterSessionTakesTheConnection) {
  Server server;
  RunningProxy proxy(Keeper(server));
  Peer upstream = Leave(proxy, server);
  EXPECT_EQ(proxy.Sum(&Counters::kept), 1u);
  for (int i = 0; i < 5; ++i) {
    Peer client = proxy.Client();
    EXPECT_EQ(client.Receive(12), "taken value\n");
    client.Send("ask");
    EXPECT_EQ(upstream.Receive(3), "ask");
    upstream.Send("answer");
    EXPECT_EQ(client.Receive(6), "answer");
    client.Send("bye\n");
    EXPECT_EQ(upstream.Receive(6), "clean?");
    upstream.Send("clean");
    EXPECT_EQ(client.WaitForEnd(), Ending::kEnd);
    auto end = proxy.NextEnd();
    EXPECT_EQ(end["upstream_sent"], 3);
    EXPECT_EQ(end["upstream_received"], 6);
  }
  EXPECT_EQ(proxy.Sum(&Counters::connects), 1u);
  EXPECT_EQ(proxy.Sum(&Counters::kept_taken), 5u);
  proxy.Stop();
  EXPECT_EQ(upstream.WaitForEnd(), Ending::kEnd);
}

TEST(Keep, TheClientsBytesFlowUnseenUntilAReadEndsSo) {
  Server server;
  RunningProxy proxy(Keeper(server));
  Peer client = proxy.Client();
  EXPECT_EQ(client.Receive(4), "new\n");
  Peer upstream = server.Accept();
  const std::string much(3'000'000, 'x');
  for (const std::string& text : {std::string("bye\n."), much, std::string("by"), much}) {
    std::thread send([&] { client.Send(text); });
    EXPECT_EQ(upstream.Receive(text.size()), text);
    send.join();
  }
  client.Close();  // an end is passed on, as in any watch
  EXPECT_EQ(upstream.WaitForEnd(), Ending::kEnd);
  upstream.Close();
  EXPECT_EQ(proxy.NextEnd()["received"], 2 * much.size() + 7);
}

TEST(Keep, TheSessionIsOverForAllOthersWhenTheClientHasParted) {
  Server server;
  RunningProxy proxy(Keeper(server));
  Peer client = proxy.Client();
  EXPECT_EQ(client.Receive(4), "new\n");
  Peer upstream = server.Accept();
  client.Send("bye\n");
  EXPECT_EQ(upstream.Receive(6), "clean?");
  EXPECT_EQ(proxy.NextEnd()["reason"], "client_closed");
  EXPECT_EQ(proxy.Sum(&Counters::active), 0u);
  EXPECT_EQ(proxy.Sum(&Counters::relaying), 0u);
  EXPECT_EQ(client.ReceiveWithin(100), "");
  client.Close();
  upstream.Send("clean");
  upstream.ReceiveWithin(100);
  EXPECT_EQ(proxy.Sum(&Counters::kept), 1u);
}

TEST(Keep, TheModuleHasTwoSecondsForTheServer) {
  Server server;
  RunningProxy proxy(Keeper(server));
  Peer client = proxy.Client();
  EXPECT_EQ(client.Receive(4), "new\n");
  Peer upstream = server.Accept();
  client.Send("bye\n");
  EXPECT_EQ(upstream.Receive(6), "clean?");
  EXPECT_EQ(upstream.WaitForEnd(), Ending::kEnd);
  EXPECT_EQ(client.WaitForEnd(), Ending::kEnd);
  EXPECT_EQ(proxy.Sum(&Counters::kept), 0u);
}

TEST(Keep, WhateverTheServerDoesEndsIt) {
  Server server;
  RunningProxy proxy(Keeper(server));
  for (int i = 0; i < 3; ++i) {
    Peer upstream = Leave(proxy, server);
    if (i == 0) upstream.Send("!");
    if (i == 1) upstream.ShutWrite();
    if (i == 2) upstream.Reset();
    if (i < 2) {
      EXPECT_NE(upstream.WaitForEnd(), Ending::kNone);
    }
    EXPECT_TRUE(Eventually([&] { return proxy.Sum(&Counters::kept) == 0; }));
    EXPECT_EQ(proxy.Sum(&Counters::kept_lost), i + 1u);
  }
}

TEST(Keep, WhoSaysMoreThanItOwesIsNotKept) {
  Server server;
  Hooks hooks = Keeper(server);
  hooks.upstream_data = [](rum_session* s, std::string_view bytes) -> int64_t {
    if (bytes.size() < 6) return 0;
    EXPECT_EQ(Calls().keep(s, kKey, sizeof kKey, "", 0, 2, 60000), RUM_OK);
    return 5;
  };
  RunningProxy proxy(hooks);
  Peer client = proxy.Client();
  EXPECT_EQ(client.Receive(4), "new\n");
  Peer upstream = server.Accept();
  client.Send("bye\n");
  EXPECT_EQ(upstream.Receive(6), "clean?");
  upstream.Send("clean!");
  EXPECT_NE(upstream.WaitForEnd(), Ending::kNone);
  EXPECT_EQ(proxy.Sum(&Counters::kept), 0u);
}

TEST(Keep, NoMoreThanTheModuleSaysAndNotForLonger) {
  Server server;
  RunningProxy proxy(Keeper(server, 1, 300));
  Peer one = proxy.Client(), two = proxy.Client();
  EXPECT_EQ(one.Receive(4), "new\n");
  Peer first = server.Accept();
  EXPECT_EQ(two.Receive(4), "new\n");
  Peer second = server.Accept();
  for (auto [client, upstream] : {std::pair(&one, &first), std::pair(&two, &second)}) {
    client->Send("bye\n");
    EXPECT_EQ(upstream->Receive(6), "clean?");
    upstream->Send("clean");
    EXPECT_EQ(client->WaitForEnd(), Ending::kEnd);
  }
  EXPECT_EQ(second.WaitForEnd(), Ending::kEnd);
  EXPECT_EQ(first.WaitForEnd(), Ending::kEnd);
  EXPECT_EQ(proxy.Sum(&Counters::kept), 0u);
  Peer upstream = Leave(proxy, server);  // there is room again
  EXPECT_EQ(proxy.Sum(&Counters::kept), 1u);
}

TEST(Keep, AServerThatHasGoneIsReplacedByANewConnection) {
  for (bool reset : {false, true}) {
    Server server;
    Hooks hooks = Keeper(server);
    // It says something first, and the server's answer begins the session.
    hooks.upstream_open = [](rum_session* s, uint32_t reason) {
      EXPECT_EQ(reason, 0u);
      Tell(s);
      Send(s, RUM_UPSTREAM, "hello?");
    };
    hooks.upstream_data = [](rum_session* s, std::string_view bytes) -> int64_t {
      if (bytes == "hello") Flow(s);
      if (bytes == "clean") {
        EXPECT_EQ(Calls().keep(s, kKey, sizeof kKey, "value", 5, 2, 60000), RUM_OK);
      }
      return static_cast<int64_t>(bytes.size());
    };
    hooks.side_end = [](rum_session* s, uint32_t side) -> int32_t {
      if (side == RUM_CLIENT) return RUM_END;
      EXPECT_EQ(Calls().renew(s), RUM_OK);
      return RUM_KEEP;
    };
    RunningProxy proxy(hooks);
    Peer client = proxy.Client();
    EXPECT_EQ(client.Receive(4), "new\n");
    Peer upstream = server.Accept();
    EXPECT_EQ(upstream.Receive(6), "hello?");
    upstream.Send("hello");
    client.Send("x");
    EXPECT_EQ(upstream.Receive(1), "x");
    client.Send("bye\n");
    EXPECT_EQ(upstream.Receive(6), "clean?");
    upstream.Send("clean");
    EXPECT_EQ(client.WaitForEnd(), Ending::kEnd);
    Peer next = proxy.Client();
    EXPECT_EQ(next.Receive(12), "taken value\n");
    EXPECT_EQ(upstream.Receive(6), "hello?");
    reset ? upstream.Reset() : upstream.Close();
    EXPECT_EQ(next.Receive(4), "new\n");
    Peer anew = server.Accept();
    EXPECT_EQ(anew.Receive(6), "hello?");
    anew.Send("hello");
    next.Send("y");
    EXPECT_EQ(anew.Receive(1), "y");
    EXPECT_EQ(proxy.Sum(&Counters::connects), 2u);
  }
}

TEST(Keep, OneOfAnotherKeyIsNotTakenAndOneMayBeSpent) {
  Server server;
  int32_t spent = 0;
  Hooks hooks = Keeper(server);
  RunningProxy proxy([&] {
    auto open = hooks.session_open;
    hooks.session_open = [&, n = 0, open](rum_session* s) mutable {
      if (++n == 2) {
        EXPECT_EQ(Calls().want(s, "other", 5), RUM_OK);
        return Connect(s, server.address());
      }
      if (n == 3) {
        const std::string& address = server.address();
        spent = Calls().spend(s, address.data(), address.size(), kKey, sizeof kKey);
      }
      return open(s);
    };
    return hooks;
  }());
  Peer upstream = Leave(proxy, server);
  Peer other = proxy.Client();
  EXPECT_EQ(other.Receive(4), "new\n");
  Peer third = proxy.Client();
  EXPECT_EQ(third.Receive(4), "new\n");
  EXPECT_EQ(spent, RUM_FOUND);
  EXPECT_EQ(upstream.WaitForEnd(), Ending::kEnd);
}

TEST(Keep, AllOfAServerMayBeDropped) {
  Server server, elsewhere;
  Hooks hooks = Keeper(server);
  RunningProxy proxy([&] {
    auto open = hooks.session_open;
    hooks.session_open = [&, n = 0, open](rum_session* s) mutable {
      EXPECT_EQ(Calls().drop(s), RUM_E_STATE);
      if (++n % 2 == 1) return open(s);
      EXPECT_EQ(Calls().want(s, "other", 5), RUM_OK);
      return Connect(s, n == 2 ? elsewhere.address() : server.address());
    };
    auto connected = hooks.upstream_open;
    hooks.upstream_open = [&, n = 0, connected](rum_session* s, uint32_t reason) mutable {
      if (++n % 2 == 0) {
        EXPECT_EQ(Calls().drop(s), RUM_OK);
      }
      return connected(s, reason);
    };
    return hooks;
  }());
  Peer upstream = Leave(proxy, server);
  Peer second = proxy.Client();
  EXPECT_EQ(second.Receive(4), "new\n");
  Peer third = proxy.Client();
  EXPECT_EQ(third.Receive(12), "taken value\n") << "only what is kept of elsewhere was dropped";
  third.Send("bye\n");
  EXPECT_EQ(upstream.Receive(6), "clean?");
  upstream.Send("clean");
  EXPECT_EQ(third.WaitForEnd(), Ending::kEnd);
  Peer fourth = proxy.Client();
  EXPECT_EQ(fourth.Receive(4), "new\n");
  EXPECT_EQ(upstream.WaitForEnd(), Ending::kEnd);
}

TEST(Keep, WhatTheContractForbidsIsRefused) {
  Server server;
  Hooks hooks = Keeper(server);
  hooks.session_open = [&](rum_session* s) {
    size_t size = 0;
    EXPECT_EQ(Calls().want(s, "", 0), RUM_E_ARGUMENT);
    EXPECT_EQ(
        Calls().want(s, std::string(RUM_MOST_KEEP_KEY + 1, 'k').data(), RUM_MOST_KEEP_KEY + 1),
        RUM_E_LIMIT);
    EXPECT_EQ(Calls().part(s), RUM_E_STATE);
    EXPECT_EQ(Calls().renew(s), RUM_E_STATE);
    EXPECT_EQ(Calls().taken(s, nullptr, &size), RUM_E_STATE);
    EXPECT_EQ(Calls().answered(s, RUM_CLIENT), RUM_E_STATE);
    EXPECT_EQ(Calls().keep(s, "k", 1, "", 0, 1, 1), RUM_E_STATE);
    EXPECT_EQ(Calls().keep(s, "k", 1, "", 0, 1, RUM_MOST_MILLISECONDS + 1), RUM_E_LIMIT);
    EXPECT_EQ(Calls().forward_until(s, RUM_CLIENT, "x", 1), RUM_E_STATE);
    EXPECT_EQ(Calls().spend(s, "nowhere", 7, "k", 1), RUM_E_ARGUMENT);
    EXPECT_EQ(Calls().want(s, "k", 1), RUM_OK);
    return Connect(s, server.address());
  };
  hooks.upstream_open = [](rum_session* s, uint32_t) {
    size_t size = 0;
    EXPECT_EQ(Calls().taken(s, nullptr, &size), RUM_NOT_FOUND);
    EXPECT_EQ(Calls().want(s, "k", 1), RUM_E_STATE);
    EXPECT_EQ(Calls().renew(s), RUM_E_STATE);
    EXPECT_EQ(Calls().part(s), RUM_E_STATE) << "nobody has logged in";
    EXPECT_EQ(host->relay(s), RUM_OK);
  };
  RunningProxy proxy(hooks);
  Peer client = proxy.Client();
  Peer upstream = server.Accept();
  client.Send("x");
  EXPECT_EQ(upstream.Receive(1), "x");
}

}  // namespace
}  // namespace rum
