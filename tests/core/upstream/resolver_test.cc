#include "upstream/resolver.h"

#include <gtest/gtest.h>

#include <atomic>
#include <fstream>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "core/upstream/resolver_fixture.h"
#include "proxy/proxy.h"
#include "support/few_descriptors.h"
#include "support/folder.h"
#include "support/name_server.h"
#include "support/running_proxy.h"
#include "support/timeout.h"

namespace rum {
namespace {

using namespace std::chrono_literals;
using namespace rum::test;
using Kind = DnsAnswer::Kind;

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
  hosts_ = "/etc/hosts";
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
  auto there = std::make_shared<std::atomic<bool>>(false);
  Start([there](const std::string&) {
    return *there ? DnsAnswer{Kind::kAddresses, {"192.0.2.1"}, {}}
                  : DnsAnswer{Kind::kNoSuchName, {}, {}};
  });
  EXPECT_EQ(Ask("db.test"), Texts{});
  size_t asked = server_->questions("db.test");
  for (int i = 0; i < 100; ++i) EXPECT_EQ(Ask("db.test"), Texts{});
  EXPECT_EQ(server_->questions("db.test"), asked) << "a storm of logins is no storm of questions";
  *there = true;
  EXPECT_TRUE(Eventually([&] { return !Ask("db.test").empty(); }, 10s));
}

TEST_F(ResolverTest, AsksAgainWhileANameIsInUseAndTakesTheNewAddress) {
  auto version = std::make_shared<std::atomic<int>>(1);
  Start(
      [version](const std::string&) {
        return DnsAnswer{Kind::kAddresses, {"192.0.2." + std::to_string(*version)}, {}};
      },
      50ms);
  EXPECT_EQ(Ask("db.test"), Texts{"192.0.2.1"});
  *version = 2;
  EXPECT_TRUE(Eventually([&] { return Known("db.test") == Texts{"192.0.2.2"}; }));
  // Nobody wants it: nobody asks.
  std::this_thread::sleep_for(100ms);
  size_t asked = server_->questions("db.test");
  std::this_thread::sleep_for(300ms);
  EXPECT_EQ(server_->questions("db.test"), asked);
}

TEST_F(ResolverTest, AsksAgainSoonWhenTheAddressesDoNotAnswerButOnceASecond) {
  auto version = std::make_shared<std::atomic<int>>(1);
  Start([version](const std::string&) {
    return DnsAnswer{Kind::kAddresses, {"192.0.2." + std::to_string(*version)}, {}};
  });
  EXPECT_EQ(Ask("db.test"), Texts{"192.0.2.1"});
  const size_t once = server_->questions("db.test");
  *version = 2;
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
  Start([](const std::string&) { return DnsAnswer{Kind::kAddresses, {"192.0.2.1"}, {}}; }, 0ms);
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

// Answers that lead to no address: each as big as UDP carries, or going round in circles.
struct Trap {
  std::string what;
  DnsAnswer answer;
};

std::vector<Trap> Traps() {
  DnsAnswer text{Kind::kAddresses, {}, {}};
  text.text = 65000;
  DnsAnswer lies{Kind::kCountsLies, {}, {}};
  lies.text = 65000;
  return {{"a CNAME loop", {Kind::kCnameLoop, {}, {}}},
          {"a name that points to itself", {Kind::kNameLoop, {}, {}}},
          {"65,000 bytes of text", text},
          {"65,000 bytes that say there are 65,535 records", lies},
          {"a reply that is cut and wants TCP", {Kind::kTruncated, {}, {}}}};
}

TEST_F(ResolverTest, OfThousandsOfAddressesItTakesSixtyFourAtMost) {
  DnsAnswer answer;
  answer.kind = Kind::kTruncated;
  for (int i = 0; i < 4000; ++i) {
    answer.v4.push_back("198.18." + std::to_string(i / 250) + "." + std::to_string(i % 250));
  }
  for (int i = 1; i <= 2300; ++i) answer.v6.push_back("2001:db8::" + std::to_string(i));
  server_ = std::make_unique<NameServer>([answer](const std::string&) { return answer; }, true);
  StartWith(server_->conf());
  Texts most(answer.v4.begin(), answer.v4.begin() + 32);
  most.insert(most.end(), answer.v6.begin(), answer.v6.begin() + 32);
  EXPECT_EQ(Ask("many.test"), most);
  EXPECT_EQ(Known("many.test"), most);
}

TEST_F(ResolverTest, OfARecordThatIsTooLongItTakesOneAddressAtMost) {
  Start([](const std::string&) {
    return DnsAnswer{Kind::kAllInOne, Texts(100, "192.0.2.1"), Texts(100, "2001:db8::1")};
  });
  EXPECT_LE(Ask("many.test").size(), 2u) << "newer versions of c-ares read its beginning";
}

TEST_F(ResolverTest, AnswersThatAreTrapsHoldUpNoOtherName) {
  for (const Trap& trap : Traps()) {
    auto decide = [&](const std::string& name) {
      return name.starts_with("trap") ? trap.answer
                                      : DnsAnswer{Kind::kAddresses, {"192.0.2.1"}, {}};
    };
    // Were one of these waited for until its timeout, the timeout would expire first.
    Start(decide, 30s, 2 * kTimeout);
    for (int i = 0; i < 100; ++i) {
      EXPECT_EQ(Ask("trap" + std::to_string(i) + ".test"), Texts{}) << trap.what;
    }
    EXPECT_EQ(Ask("db.test"), Texts{"192.0.2.1"}) << trap.what;
    loop_.reset();
    server_.reset();

    // All at once; of those that are big the system drops some, and they are asked for again.
    Start(decide, 30s, 100ms);
    std::atomic<int> told = 0;
    for (int i = 0; i < 200; ++i) {
      resolver_->Ask("trap" + std::to_string(i) + ".test", [&](std::vector<SocketAddress> found) {
        EXPECT_TRUE(found.empty()) << trap.what;
        ++told;
      });
    }
    EXPECT_TRUE(Eventually([&] { return Ask("db.test") == Texts{"192.0.2.1"}; })) << trap.what;
    EXPECT_TRUE(Eventually([&] { return told == 200; })) << trap.what << ": " << told;
    loop_.reset();
    server_.reset();
  }
}

TEST_F(ResolverTest, AHundredNamesThatNobodyAnswersForHoldUpNoOther) {
  Start(
      [](const std::string& name) {
        return name == "db.test" ? DnsAnswer{Kind::kAddresses, {"192.0.2.1"}, {}}
                                 : DnsAnswer{Kind::kSilence, {}, {}};
      },
      30s, 2 * kTimeout);
  for (int i = 0; i < 100; ++i) {
    const std::string name = "silent" + std::to_string(i) + ".test";
    resolver_->Ask(name, [](std::vector<SocketAddress>) {});
    ASSERT_TRUE(Eventually([&] { return server_->questions(name) > 0; })) << name;
  }
  EXPECT_EQ(Ask("db.test"), Texts{"192.0.2.1"});
}

TEST_F(ResolverTest, KeepsTheLastGoodAnswerWhenARefreshIsATrap) {
  const std::vector<Trap> traps = Traps();
  const auto name = [](size_t i) { return std::to_string(i) + ".test"; };
  std::atomic<bool> trapped = false;
  Start(
      [&](const std::string& asked) {
        return trapped ? traps[std::stoul(asked)].answer
                       : DnsAnswer{Kind::kAddresses, {"192.0.2.1"}, {}};
      },
      20ms, 2 * kTimeout);
  for (size_t i = 0; i < traps.size(); ++i) EXPECT_EQ(Ask(name(i)), Texts{"192.0.2.1"});
  trapped = true;
  std::vector<size_t> before;
  for (size_t i = 0; i < traps.size(); ++i) before.push_back(server_->questions(name(i)));
  // The second question comes when the first has been answered: what is known after it is what the
  // answer has left.
  EXPECT_TRUE(Eventually([&] {
    bool all = true;
    for (size_t i = 0; i < traps.size(); ++i) {
      all = server_->questions(name(i)) >= before[i] + 2 && all;
      EXPECT_EQ(Known(name(i)), Texts{"192.0.2.1"}) << traps[i].what;
    }
    return all;
  }));
  loop_.reset();
  server_.reset();
}

TEST_F(ResolverTest, MayGoWhileQuestionsAreOut) {
  for (int round = 0; round < 5; ++round) {
    Start([](const std::string&) { return DnsAnswer{Kind::kSilence, {}, {}}; }, 30s, 5s);
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

TEST(ResolverOfAProxy, AStartWithoutDescriptorsForItFails) {
  auto settings = std::make_shared<Settings>();
  auto config = MakeTestModule({});
  std::unique_ptr<event_base, decltype(&event_base_free)> base(event_base_new(), event_base_free);
  std::unique_ptr<Proxy> proxy;
  {
    FewDescriptors few(0);
    proxy = std::make_unique<Proxy>(base.get(), settings, config);
  }
  auto started = proxy->Start();  // there are some again, for the workers
  ASSERT_FALSE(started.ok()) << "names would never be found";
  EXPECT_NE(started.error().text.find("descriptors"), std::string::npos);
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
