// A session that goes on with another server: when one has ended, or because the module wants it.
#include <gtest/gtest.h>

#include <atomic>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "proxy/proxy.h"
#include "support/running_proxy.h"
#include "support/timeout.h"
#include "upstream/server_health.h"

namespace rum {
namespace {

using namespace std::chrono_literals;
using namespace rum::test;

int64_t All(std::string_view bytes) { return static_cast<int64_t>(bytes.size()); }

TEST(SecondServer, TakesOverWhenTheFirstHasEnded) {
  Server first, second;
  Hooks hooks;
  hooks.session_open = [&](rum_session* s) { return Connect(s, first.address()); };
  hooks.upstream_data = [&](rum_session* s, std::string_view bytes) -> int64_t {
    if (bytes == "first") return 0;  // left lying: it must not come before the second one's
    EXPECT_EQ(bytes, "second");
    EXPECT_EQ(host->relay(s), RUM_OK);
    return 0;
  };
  hooks.side_end = [&](rum_session* s, uint32_t side) -> int32_t {
    if (side == RUM_CLIENT) return RUM_END;
    EXPECT_EQ(Connect(s, second.address()), RUM_OK);
    EXPECT_EQ(Connect(s, second.address()), RUM_E_STATE);
    EXPECT_EQ(Send(s, RUM_UPSTREAM, "x"), RUM_E_STATE);
    return RUM_KEEP;
  };
  RunningProxy proxy(hooks);
  Peer client = proxy.Client();
  Peer one = first.Accept();
  one.Send("first");
  one.Close();
  Peer two = second.Accept();
  EXPECT_EQ(proxy.proxy().loads().Sessions(first.address()), 0u);
  EXPECT_EQ(proxy.proxy().loads().Sessions(second.address()), 1u);
  two.Send("second");
  EXPECT_EQ(client.Receive(6), "second");
  client.Send("ping, and no farewell");
  EXPECT_EQ(two.Receive(21), "ping, and no farewell");
  two.Close();
  EXPECT_EQ(client.ReceiveAll(), "");
  client.Close();
  auto end = proxy.NextEnd();
  EXPECT_EQ(end.value("reason", ""), "upstream_closed");
  EXPECT_EQ(end.value("destination", ""), second.address());
  EXPECT_EQ(proxy.Sum(&Counters::connects), 2u);
  EXPECT_EQ(proxy.Sum(&Counters::logins), 1u);
}

TEST(SecondServer, TheOneThatIsGivenUpGetsItsLastWordsAndAnEnd) {
  Server first, second;
  Hooks hooks;
  hooks.session_open = [&](rum_session* s) { return Connect(s, first.address()); };
  hooks.upstream_data = [&](rum_session* s, std::string_view bytes) -> int64_t {
    if (bytes.starts_with("second")) {
      host->relay(s);
      return 0;
    }
    EXPECT_EQ(host->forward(s, RUM_CLIENT, 1000), RUM_OK);  // ends with the first server
    EXPECT_EQ(Send(s, RUM_UPSTREAM, "bye"), RUM_OK);
    EXPECT_EQ(Connect(s, "nonsense"), RUM_E_ARGUMENT);
    EXPECT_EQ(Send(s, RUM_UPSTREAM, "."), RUM_OK) << "it is still there";
    EXPECT_EQ(Connect(s, second.address()), RUM_OK);
    EXPECT_EQ(Send(s, RUM_UPSTREAM, "x"), RUM_E_STATE);
    return 3;
  };
  hooks.client_data = [](rum_session*, std::string_view) -> int64_t { return 0; };
  RunningProxy proxy(hooks);
  Peer client = proxy.Client();
  Peer one = first.Accept();
  one.Send("old" + Noise(100000, 1));
  EXPECT_EQ(one.Receive(4), "bye.");
  Peer two = second.Accept();
  two.Send("second");
  EXPECT_EQ(client.Receive(6), "second");
  client.Send("whole");
  EXPECT_EQ(two.Receive(5), "whole");
  EXPECT_EQ(client.ReceiveWithin(50), "");
}

TEST(SecondServer, WithoutUnreadBytesTheEndIsNoReset) {
  Server first, second;
  Hooks hooks;
  hooks.session_open = [&](rum_session* s) { return Connect(s, first.address()); };
  hooks.upstream_open = [&](rum_session* s, uint32_t) {
    static std::atomic<int> opened = 0;
    if (opened++ % 2 == 0) {
      EXPECT_EQ(Connect(s, second.address()), RUM_OK);
    }
  };
  RunningProxy proxy(hooks);
  Peer client = proxy.Client();
  Peer one = first.Accept();
  EXPECT_EQ(one.WaitForEnd(), Ending::kEnd);
  Peer two = second.Accept();
  EXPECT_TRUE(two);
}

TEST(SecondServer, ASessionHasEightConnects) {
  Server server;
  std::atomic<int> accepted = 0, last = 1;
  Hooks hooks;
  hooks.session_open = [&](rum_session* s) { return Connect(s, server.address()); };
  hooks.upstream_open = [&](rum_session* s, uint32_t) {
    ++accepted;
    last = Connect(s, server.address());
  };
  RunningProxy proxy(hooks);
  Peer client = proxy.Client();
  EXPECT_TRUE(Eventually([&] { return accepted == 8; }));
  EXPECT_TRUE(Eventually([&] { return last == RUM_E_LIMIT; }));
  EXPECT_TRUE(Eventually([&] { return proxy.proxy().loads().Sessions(server.address()) == 1; }));
  EXPECT_EQ(proxy.Sum(&Counters::connects), 8u);
}

TEST(SecondServer, IsRefusedAfterTheRelayBegan) {
  Server server;
  std::atomic<bool> began = false, tried = false;
  Hooks hooks;
  hooks.session_open = [&](rum_session* s) { return Connect(s, server.address()); };
  hooks.upstream_open = [&](rum_session* s, uint32_t) {
    EXPECT_EQ(host->relay_from(s, RUM_UPSTREAM), RUM_OK);
    EXPECT_EQ(Connect(s, server.address()), RUM_E_STATE);
    began = true;
  };
  hooks.client_data = [&](rum_session* s, std::string_view bytes) {
    EXPECT_EQ(Connect(s, server.address()), RUM_E_STATE);
    EXPECT_EQ(host->take_back(s, RUM_UPSTREAM), RUM_OK);
    EXPECT_EQ(Connect(s, server.address()), RUM_E_STATE);
    EXPECT_EQ(host->relay(s), RUM_OK);
    EXPECT_EQ(Connect(s, server.address()), RUM_E_STATE);
    tried = true;
    return All(bytes);
  };
  RunningProxy proxy(hooks);
  Peer client = proxy.Client();
  Peer peer = server.Accept();
  EXPECT_TRUE(Eventually([&] { return began.load(); }));
  client.Send("x");
  EXPECT_TRUE(Eventually([&] { return tried.load(); }));
}

// A server that ends without a word has failed, one that the module leaves has not.
TEST(SecondServer, TheBreakerCountsTheServerThatFailed) {
  for (bool ends : {true, false}) {
    Server first, second;
    Hooks hooks;
    hooks.session_open = [&](rum_session* s) { return Connect(s, first.address()); };
    hooks.upstream_open = [&](rum_session* s, uint32_t) {
      char where[100];
      size_t size = sizeof where;
      static_cast<const rum_sessions*>(host->extension(RUM_SESSIONS_1))
          ->destination(s, where, &size);
      const bool at_first = std::string_view(where, size) == first.address();
      if (at_first && !ends) {
        EXPECT_EQ(Connect(s, second.address()), RUM_OK);
      }
      if (!at_first) host->relay(s);
    };
    hooks.upstream_data = [](rum_session*, std::string_view bytes) { return All(bytes); };
    hooks.side_end = [&](rum_session* s, uint32_t) -> int32_t {
      EXPECT_EQ(Connect(s, second.address()), RUM_OK);
      return RUM_KEEP;
    };
    RunningProxy proxy(hooks, [](Settings& s) { s.breaker.failures = 1; });
    Peer client = proxy.Client();
    Peer one = first.Accept();
    one.Close();
    Peer two = second.Accept();
    EXPECT_TRUE(Eventually([&] { return proxy.Sum(&Counters::relaying) == 1; }));
    EXPECT_EQ(proxy.proxy().server_health().open(), ends ? 1u : 0u);
  }
}

// How one server behaves towards a session: where it stops.
enum class Stop { kAtOnce, kInTheLine, kAfterTheLine, kReset, kNever };

void Serve(Server& server, unsigned seed, const std::atomic<bool>& over) {
  std::minstd_rand random(seed);
  std::vector<Peer> kept;
  while (!over) {
    if (!server.SomebodyComes(20)) continue;
    Peer peer = server.Accept();
    switch (static_cast<Stop>(random() % 5)) {
      case Stop::kAtOnce:
        break;
      case Stop::kInTheLine:
        peer.Send("no ");
        std::this_thread::sleep_for(std::chrono::microseconds(random() % 300));
        break;
      case Stop::kAfterTheLine:
        peer.Send("no\n");
        break;
      case Stop::kReset:
        std::this_thread::sleep_for(std::chrono::microseconds(random() % 300));
        peer.Reset();
        break;
      case Stop::kNever:
        peer.Send("yes " + std::to_string(server.port()) + "\n");
        kept.push_back(std::move(peer));
        break;
    }
  }
}

// Servers end at every moment: whoever is served has the whole line of one server and nothing of
// another, and the counts of sessions, servers and users are back at the end (~RunningProxy).
TEST(SecondServer, NothingIsMixedOrLeftWhereServersEndAtEveryMoment) {
  constexpr size_t kServers = 6, kClients = 8, kRounds = 25;
  std::vector<Server> servers(kServers);
  std::atomic<unsigned> turn = 0;
  auto next = [&](rum_session* s) {
    const int32_t status = Connect(s, servers[turn++ % kServers].address());
    if (status != RUM_OK) Close(s, RUM_CLOSE_UPSTREAM_GONE);
    return status;
  };
  Hooks hooks;
  hooks.session_open = [&](rum_session* s) { return next(s); };
  hooks.client_data = [](rum_session*, std::string_view) -> int64_t { return 0; };
  hooks.upstream_open = [&](rum_session* s, uint32_t reason) {
    if (reason) next(s);
  };
  hooks.upstream_data = [&](rum_session* s, std::string_view bytes) -> int64_t {
    if (bytes.find('\n') == bytes.npos) return 0;
    bytes.starts_with("yes") ? host->relay(s) : next(s);
    return 0;
  };
  hooks.side_end = [&](rum_session* s, uint32_t side) -> int32_t {
    if (side == RUM_CLIENT) return RUM_END;
    return next(s) == RUM_OK ? RUM_KEEP : RUM_END;
  };
  std::atomic<bool> over = false;
  std::atomic<size_t> served = 0;
  std::vector<std::thread> threads;
  {
    RunningProxy proxy(hooks, [](Settings& s) { s.workers = 2; });
    for (unsigned i = 0; i < kServers; ++i) {
      threads.emplace_back([&, i] { Serve(servers[i], i + 1, over); });
    }
    std::vector<std::thread> clients;
    for (unsigned i = 0; i < kClients; ++i) {
      clients.emplace_back([&, i] {
        std::minstd_rand random(100 + i);
        for (size_t round = 0; round < kRounds; ++round) {
          Peer client = proxy.Client();
          client.Send("hello");
          if (random() % 8 == 0) continue;  // clients leave at every moment, too
          std::string got, part;
          while (got.find('\n') == got.npos && !(part = client.ReceiveWithin(3000)).empty()) {
            got += part;
          }
          if (got.empty()) continue;  // no server was left for it
          ++served;
          EXPECT_TRUE(got.starts_with("yes ") && got.ends_with("\n") &&
                      got.find('\n') == got.size() - 1)
              << got;
        }
      });
    }
    for (std::thread& client : clients) client.join();
    EXPECT_GT(served, kClients * kRounds / 4);
    over = true;
    for (std::thread& thread : threads) thread.join();
  }
}

}  // namespace
}  // namespace rum
