// Clients that come, log in, fail and go in any order while the limits change: each is let in or
// refused as a model says that knows every one of them, through the real proxy with two workers.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <map>
#include <random>
#include <thread>

#include "limits/access_control.h"
#include "proxy/proxy.h"
#include "proxy/worker.h"
#include "support/running_proxy.h"
#include "support/timeout.h"

namespace rum {
namespace {

using namespace rum::test;

constexpr size_t kAddresses = 3;

struct Client {
  size_t address;
  bool logged_in;
  Peer peer;
  Peer server;
};

Refusal Expected(const AccessControl::Settings& limits, const std::vector<Client>& inside,
                 size_t address) {
  uint32_t connecting = 0, same = 0;
  for (const Client& one : inside) {
    connecting += !one.logged_in;
    same += one.address == address;
  }
  if (limits.max_connections && inside.size() >= limits.max_connections) {
    return Refusal::kMaxConnections;
  }
  if (limits.max_connecting && connecting >= limits.max_connecting) return Refusal::kMaxConnecting;
  if (limits.max_connections_per_ip && same >= limits.max_connections_per_ip) {
    return Refusal::kMaxConnectionsPerIp;
  }
  return Refusal::kNone;
}

Hooks Doors() {
  Hooks hooks;
  hooks.session_open = [](rum_session* s) { return Send(s, RUM_CLIENT, "in"); };
  hooks.client_data = [](rum_session* s, std::string_view bytes) -> int64_t {
    if (bytes == "go") {
      Connect(s, "");
      host->relay(s);
    } else {
      Close(s, RUM_CLOSE_DENIED);
    }
    return static_cast<int64_t>(bytes.size());
  };
  hooks.refusal = [](uint32_t, uint8_t* bytes, size_t) -> size_t {
    bytes[0] = 'n', bytes[1] = 'o';
    return 2;
  };
  return hooks;
}

class RandomEntries : public testing::Test {
 protected:
  void Come(size_t address) {
    Refusal expected = Expected(limits, inside, address);
    Client client{address, false, proxy.Client(), {}};
    client.peer.Send("PROXY TCP4 192.0.2." + std::to_string(address) + " 192.0.2.99 1 2\r\n");
    ASSERT_EQ(client.peer.Receive(2), expected == Refusal::kNone ? "in" : "no");
    if (expected == Refusal::kNone) return inside.push_back(std::move(client));
    ++refused[expected];
    client.peer.WaitForEnd();
    auto end = proxy.NextEnd();
    EXPECT_EQ(end.value("reason", ""), "limit");
    EXPECT_EQ(end.value("detail", ""), RowOf(expected).detail);
  }
  void LogIn(Client& client) {
    if (client.logged_in) return;
    client.peer.Send("go");
    client.server = server.Accept();
    client.server.Send("x");
    ASSERT_EQ(client.peer.Receive(1), "x");  // it flows: the login is over
    client.logged_in = true;
  }
  void Go(size_t at, bool fail) {
    if (fail && !inside[at].logged_in)
      inside[at].peer.Send("fail");
    else
      inside[at].peer.Reset();
    inside.erase(inside.begin() + static_cast<std::ptrdiff_t>(at));
    proxy.NextEnd();  // what it had is given back before the line is written
  }
  void Reload(std::mt19937_64& random) {
    auto any = [&](uint32_t most) { return random() % 3 ? 1 + uint32_t(random() % most) : 0; };
    limits.max_connections = any(6);
    limits.max_connections_per_ip = any(3);
    limits.max_connecting = any(4);
    std::atomic<size_t> done = 0;
    proxy.OnMain([&](Proxy& p) {
      auto fresh = std::make_shared<Settings>(*p.settings());
      fresh->access_control = limits;
      p.Reload(fresh, p.module_config());
    });
    // Each worker has its turn before the next client comes.
    proxy.OnMain([&](Proxy& p) {
      for (const auto& worker : p.workers()) worker->Post([&done] { ++done; });
    });
    ASSERT_TRUE(Eventually([&] { return done == 2; }));
  }

  Server server;
  RunningProxy proxy{Doors(), [this](Settings& s) {
                       s.workers = 2;
                       s.proxy_from = *CidrSet::Parse("127.0.0.1");
                       s.destinations.push_back(*ParseAddress(server.address()));
                     }};
  AccessControl::Settings limits;
  std::vector<Client> inside;
  std::map<Refusal, uint64_t> refused;
};

TEST_F(RandomEntries, AgreeWithAModelInAnyOrder) {
  std::mt19937_64 random(7);
  for (int step = 0; step < 600 && !HasFatalFailure(); ++step) {
    size_t at = inside.empty() ? 0 : random() % inside.size();
    switch (random() % 8) {
      case 0:
        Reload(random);
        break;
      case 1:
      case 2:
        if (!inside.empty()) LogIn(inside[at]);
        break;
      case 3:
      case 4:
        if (!inside.empty()) Go(at, random() % 2);
        break;
      default:
        Come(random() % kAddresses);
    }
    uint32_t connecting = 0;
    for (const Client& one : inside) connecting += !one.logged_in;
    ASSERT_EQ(proxy.proxy().access_control().connections(), inside.size()) << "step " << step;
    ASSERT_EQ(proxy.proxy().access_control().connecting(), connecting) << "step " << step;
  }
  for (const RefusalRow& row : kRefusals) {
    uint64_t sum = 0;
    for (const auto& worker : proxy.proxy().workers()) {
      sum += worker->counters.clients_refused[static_cast<size_t>(row.refusal)].get();
    }
    EXPECT_EQ(sum, refused[row.refusal]) << row.word;
  }
  EXPECT_GT(refused[Refusal::kMaxConnections] + refused[Refusal::kMaxConnectionsPerIp], 0u);
}

TEST(RandomGate, OfManyThreadsNeverExceedsALimitAndLeavesNothing) {
  constexpr uint32_t kMost = 12, kPerIp = 5, kConnecting = 8;
  AccessControl access_control;
  AccessControl::Settings settings;
  settings.max_connections = kMost;
  settings.max_connections_per_ip = kPerIp;
  settings.max_connecting = kConnecting;
  std::atomic<uint32_t> all = 0, connecting = 0, seen_all = 0, seen_connecting = 0, seen_ip = 0;
  std::array<std::atomic<uint32_t>, kAddresses> by_ip = {};
  auto watch = [](std::atomic<uint32_t>& most, uint32_t value) {
    uint32_t old = most;
    while (value > old && !most.compare_exchange_weak(old, value)) {
    }
  };
  // On a loaded machine each yield() can take the turn of every other process.
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  std::vector<std::thread> threads;
  for (uint64_t t = 0; t < 6; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937_64 random(t);
      for (int i = 0; i < 20000 && std::chrono::steady_clock::now() < end; ++i) {
        size_t address = random() % kAddresses;
        AccessControl::Lease lease;
        auto from = *SocketAddress::Numeric("192.0.2." + std::to_string(address), 1);
        if (access_control.Enter(settings, from, nullptr, &lease) != Refusal::kNone) continue;
        watch(seen_all, ++all);
        watch(seen_connecting, ++connecting);
        watch(seen_ip, ++by_ip[address]);
        AccessControl::Lease moved = std::move(lease);
        if (random() % 2) std::this_thread::yield();
        --connecting;  // before it is given back, so that the figures here are never too high
        moved.LoggedIn();
        if (random() % 2) std::this_thread::yield();
        --all, --by_ip[address];
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_LE(seen_all, kMost);
  EXPECT_LE(seen_connecting, kConnecting);
  EXPECT_LE(seen_ip, kPerIp);
  EXPECT_EQ(access_control.connections(), 0u);
  EXPECT_EQ(access_control.connecting(), 0u);
  EXPECT_EQ(access_control.addresses(), 0u);
}

}  // namespace
}  // namespace rum
