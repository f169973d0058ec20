#include "upstream/resolver.h"

#include <gtest/gtest.h>

#include <atomic>
#include <fstream>
#include <future>
#include <string>
#include <thread>
#include <vector>

#include "support/folder.h"
#include "support/name_server.h"
#include "support/patience.h"
#include "support/running_proxy.h"

namespace rum {
namespace {

using namespace std::chrono_literals;
using namespace rum::test;
using Kind = DnsAnswer::Kind;

// A resolver on a main loop of its own, which asks a server of the test's own.
class ResolverTest : public testing::Test {
 protected:
  ~ResolverTest() override { loop_.reset(); }

  void Start(NameServer::Decide decide, Millis refresh = 30s, Millis timeout = 200ms) {
    server_ = std::make_unique<NameServer>(std::move(decide));
    StartWith(server_->conf(), refresh, timeout);
  }
  void StartWith(const std::string& conf, Millis refresh = 30s, Millis timeout = 200ms) {
    std::ofstream(folder_ / "resolv.conf") << conf;
    loop_ = std::make_unique<MainLoop>(
        [this, refresh, timeout](event_base* base) {
          resolver_ = std::make_unique<Resolver>(base, refresh, timeout, folder_ / "resolv.conf");
        },
        [this] { resolver_.reset(); });
    loop_->Run([] {});
  }
  // The addresses as text, in their order.
  std::vector<std::string> Ask(const std::string& name) {
    auto told = std::make_shared<std::promise<std::vector<std::string>>>();
    auto answer = told->get_future();
    resolver_->Ask(name, [told](std::vector<SocketAddress> found) {
      std::vector<std::string> texts;
      for (const SocketAddress& address : found) texts.push_back(address.host());
      told->set_value(texts);
    });
    if (answer.wait_for(kPatience) != std::future_status::ready) {
      ADD_FAILURE() << "no answer for " << name;
      return {};
    }
    return answer.get();
  }
  std::vector<std::string> Known(const std::string& name) {
    std::vector<std::string> texts;
    for (const SocketAddress& address :
         resolver_->Known(name).value_or(std::vector<SocketAddress>{})) {
      texts.push_back(address.host());
    }
    return texts;
  }

  Folder folder_;
  std::unique_ptr<NameServer> server_;
  std::unique_ptr<Resolver> resolver_;
  std::unique_ptr<MainLoop> loop_;
};

using Texts = std::vector<std::string>;

TEST_F(ResolverTest, FindsAddressesAndKeepsThem) {
  Start([](const std::string& name) {
    DnsAnswer answer;
    if (name == "db.test") answer.v4 = {"192.0.2.1", "192.0.2.2"}, answer.v6 = {"2001:db8::1"};
    return answer;
  });
  EXPECT_EQ(Known("db.test"), Texts{});
  auto found = Ask("db.test");
  std::sort(found.begin(), found.end());
  EXPECT_EQ(found, (Texts{"192.0.2.1", "192.0.2.2", "2001:db8::1"}));
  EXPECT_EQ(Known("db.test").size(), 3u);
  EXPECT_EQ(Ask("db.test").size(), 3u);
  EXPECT_EQ(server_->questions("db.test"), 1u);
}

TEST_F(ResolverTest, KnowsTheNamesOfTheHostsFile) {
  StartWith("nameserver 127.0.0.1:1\n");
  auto found = Ask("localhost");
  ASSERT_FALSE(found.empty());
  EXPECT_NE(std::find(found.begin(), found.end(), "127.0.0.1"), found.end());
}

TEST_F(ResolverTest, TellsThatThereIsNoAddress) {
  Start([](const std::string& name) {
    return DnsAnswer{name.starts_with("missing") ? Kind::kNoSuchName : Kind::kAddresses, {}, {}};
  });
  EXPECT_EQ(Ask("missing.test"), Texts{});
  EXPECT_EQ(Ask("empty.test"), Texts{}) << "the name is there, but has no address";
  EXPECT_EQ(Known("missing.test"), Texts{});
}

TEST_F(ResolverTest, GivesUpOnServersThatDoNotAnswerRight) {
  for (Kind kind : {Kind::kSilence, Kind::kServerFailure, Kind::kGarbage, Kind::kWrongId}) {
    Start(
        [kind](const std::string&) {
          DnsAnswer answer;
          answer.kind = kind;
          answer.v4 = {"192.0.2.66"};
          return answer;
        },
        30s, 50ms);
    EXPECT_EQ(Ask("db.test"), Texts{}) << static_cast<int>(kind);
    loop_.reset();
    server_.reset();
  }
}

TEST_F(ResolverTest, AnswersWithoutAnyNameServer) {
  StartWith("");
  EXPECT_EQ(Ask("db.test"), Texts{});
}

TEST_F(ResolverTest, AFailureIsKeptForAMomentAndThenAskedAgain) {
  std::atomic<bool> there = false;
  Start([&](const std::string&) {
    return there ? DnsAnswer{Kind::kAddresses, {"192.0.2.1"}, {}}
                 : DnsAnswer{Kind::kNoSuchName, {}, {}};
  });
  EXPECT_EQ(Ask("db.test"), Texts{});
  size_t asked = server_->questions("db.test");
  for (int i = 0; i < 100; ++i) EXPECT_EQ(Ask("db.test"), Texts{});
  EXPECT_EQ(server_->questions("db.test"), asked) << "a storm of logins is no storm of questions";
  there = true;
  EXPECT_TRUE(Eventually([&] { return !Ask("db.test").empty(); }, 10s));
}

TEST_F(ResolverTest, AsksAgainWhileANameIsInUseAndTakesTheNewAddress) {
  std::atomic<int> version = 1;
  Start(
      [&](const std::string&) {
        return DnsAnswer{Kind::kAddresses, {"192.0.2." + std::to_string(version)}, {}};
      },
      50ms);
  EXPECT_EQ(Ask("db.test"), Texts{"192.0.2.1"});
  version = 2;
  EXPECT_TRUE(Eventually([&] { return Known("db.test") == Texts{"192.0.2.2"}; }));
  // Nobody wants it: nobody asks.
  std::this_thread::sleep_for(100ms);
  size_t asked = server_->questions("db.test");
  std::this_thread::sleep_for(300ms);
  EXPECT_EQ(server_->questions("db.test"), asked);
}

TEST_F(ResolverTest, AsksAgainSoonWhenTheAddressesDoNotAnswerButOnceASecond) {
  std::atomic<int> version = 1;
  Start([&](const std::string&) {
    return DnsAnswer{Kind::kAddresses, {"192.0.2." + std::to_string(version)}, {}};
  });
  EXPECT_EQ(Ask("db.test"), Texts{"192.0.2.1"});
  const size_t once = server_->questions("db.test");
  version = 2;
  for (int i = 0; i < 100; ++i) {
    resolver_->Suspect("db.test");
    resolver_->Suspect("192.0.2.1");  // a number is no name
    EXPECT_EQ(Known("db.test"), Texts{"192.0.2.1"}) << "kept until there are others";
  }
  EXPECT_EQ(server_->questions("db.test"), once) << "it was asked for a moment ago";
  EXPECT_TRUE(Eventually([&] { return Known("db.test") == Texts{"192.0.2.2"}; }));
  EXPECT_EQ(server_->questions("db.test"), 2 * once);
}

TEST_F(ResolverTest, DoesNotAskAgainForAddressesThatDoNotAnswerWhenItIsToAskOnce) {
  Start([&](const std::string&) { return DnsAnswer{Kind::kAddresses, {"192.0.2.1"}, {}}; }, 0ms);
  EXPECT_EQ(Ask("db.test"), Texts{"192.0.2.1"});
  const size_t once = server_->questions("db.test");
  resolver_->Suspect("db.test");
  std::this_thread::sleep_for(1100ms);
  EXPECT_EQ(Known("db.test"), Texts{"192.0.2.1"});
  std::this_thread::sleep_for(100ms);
  EXPECT_EQ(server_->questions("db.test"), once);
}

TEST_F(ResolverTest, KeepsTheLastGoodAnswerWhenARefreshFails) {
  std::atomic<bool> broken = false;
  Start(
      [&](const std::string&) {
        return broken ? DnsAnswer{Kind::kServerFailure, {}, {}}
                      : DnsAnswer{Kind::kAddresses, {"192.0.2.1"}, {}};
      },
      20ms, 50ms);
  EXPECT_EQ(Ask("db.test"), Texts{"192.0.2.1"});
  broken = true;
  auto end = std::chrono::steady_clock::now() + 1s;
  while (std::chrono::steady_clock::now() < end) {
    ASSERT_EQ(Known("db.test"), Texts{"192.0.2.1"});
    std::this_thread::sleep_for(5ms);
  }
}

TEST_F(ResolverTest, WithoutRefreshANameIsAskedForOnce) {
  Start([](const std::string&) { return DnsAnswer{Kind::kAddresses, {"192.0.2.1"}, {}}; }, 0ms);
  EXPECT_EQ(Ask("db.test"), Texts{"192.0.2.1"});
  std::this_thread::sleep_for(100ms);
  EXPECT_EQ(Known("db.test"), Texts{"192.0.2.1"});
  EXPECT_EQ(Ask("db.test"), Texts{"192.0.2.1"});
  EXPECT_EQ(server_->questions("db.test"), 1u);
}

TEST_F(ResolverTest, OneQuestionServesAllWhoWaitForIt) {
  Start(
      [](const std::string&) {
        std::this_thread::sleep_for(100ms);
        return DnsAnswer{Kind::kAddresses, {"192.0.2.1"}, {}};
      },
      30s, 5s);
  std::atomic<int> told = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      for (int k = 0; k < 50; ++k) {
        resolver_->Ask("db.test", [&](std::vector<SocketAddress> found) {
          EXPECT_EQ(found.size(), 1u);
          told++;
        });
      }
    });
  }
  for (auto& t : threads) t.join();
  EXPECT_TRUE(Eventually([&] { return told == 400; }));
  EXPECT_EQ(server_->questions("db.test"), 1u);
}

TEST_F(ResolverTest, TakesNoMoreAddressesThanSixtyFour) {
  Start([](const std::string&) {
    DnsAnswer answer;
    for (int i = 0; i < 30; ++i) answer.v4.push_back("192.0.2." + std::to_string(i));
    return answer;
  });
  EXPECT_EQ(Ask("many.test").size(), 30u);
}

TEST_F(ResolverTest, MayGoWhileQuestionsAreOut) {
  for (int round = 0; round < 5; ++round) {
    Start([](const std::string&) { return DnsAnswer{Kind::kSilence, {}, {}}; }, 30s, 5s);
    std::atomic<int> told = 0;
    auto* counter = new std::atomic<int>(0);  // goes with the test's round: a late call is a fault
    for (int i = 0; i < 20; ++i) {
      resolver_->Ask("n" + std::to_string(i) + ".test",
                     [counter](std::vector<SocketAddress>) { ++*counter; });
    }
    std::this_thread::sleep_for(20ms);
    loop_.reset();
    int late = *counter;
    delete counter;
    EXPECT_EQ(late, 0) << "who asked is gone by then";
    server_.reset();
  }
}

// The same by way of a whole proxy: sessions whose names are being asked for when rum ends.
TEST(ResolverOfAProxy, MayGoWhileSessionsWaitForNames) {
  Folder folder;
  NameServer server([](const std::string&) { return DnsAnswer{Kind::kSilence, {}, {}}; });
  std::ofstream(folder / "resolv.conf") << server.conf();
  std::atomic<int> number = 0;
  Hooks hooks;
  hooks.session_open = [&](rum_session* s) {
    return Connect(s, "tcp:n" + std::to_string(number++) + ".test:1");
  };
  RunningProxy proxy(hooks, [&](Settings& s) {
    s.resolv_conf = folder / "resolv.conf";
    s.dns_timeout = 10s;
    s.workers = 2;
  });
  std::vector<Peer> clients;
  for (int i = 0; i < 20; ++i) clients.push_back(proxy.Client());
  EXPECT_TRUE(Eventually([&] { return proxy.Sum(&Counters::connecting) == 20; }));
}

TEST(ResolverOfAProxy, ConnectsToTheAddressesOfANameInTurn) {
  Folder folder;
  NameServer names([](const std::string&) {
    return DnsAnswer{Kind::kAddresses, {"127.0.0.2", "127.0.0.1"}, {}};
  });
  std::ofstream(folder / "resolv.conf") << names.conf();
  Server server;  // on 127.0.0.1 only
  Hooks hooks;
  hooks.session_open = [&](rum_session* s) {
    Connect(s, "tcp:db.test:" + std::to_string(server.port()));
    return host->relay(s);
  };
  RunningProxy proxy(hooks, [&](Settings& s) { s.resolv_conf = folder / "resolv.conf"; });
  for (int i = 0; i < 3; ++i) {
    Peer client = proxy.Client();
    Peer upstream = server.Accept();
    client.Send("hello");
    EXPECT_EQ(upstream.Receive(5), "hello");
    client.Close();
    upstream.Close();
    EXPECT_EQ(proxy.NextEnd()["destination"], "tcp:db.test:" + std::to_string(server.port()));
  }
  EXPECT_EQ(names.questions("db.test"), 1u);
}

}  // namespace
}  // namespace rum
