// Which addresses a name leads to: with a search list, with name servers that fail, and with files
// that change.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <map>
#include <memory>

#include "core/upstream/resolver_fixture.h"

namespace rum {
namespace {

using namespace std::chrono_literals;
using namespace rum::test;
using Kind = DnsAnswer::Kind;

DnsAnswer Of(std::vector<std::string> v4, std::vector<std::string> v6 = {}) {
  return {.kind = Kind::kAddresses, .v4 = std::move(v4), .v6 = std::move(v6), .kind_v6 = {}};
}

DnsAnswer Of(Kind kind, Kind kind_v6) {
  return {.kind = kind, .v4 = {}, .v6 = {}, .kind_v6 = kind_v6};
}

DnsAnswer Of(Kind kind) { return Of(kind, kind); }

DnsAnswer WithOtherKind(DnsAnswer answer, Kind kind_v6) {
  answer.kind_v6 = kind_v6;
  return answer;
}

class NamesTest : public ResolverTest {
 protected:
  void WriteConf(const std::string& conf) {  // as programs do: never half written
    std::ofstream(folder_ / "new") << conf;
    ASSERT_EQ(::rename((folder_ / "new").c_str(), (folder_ / "resolv.conf").c_str()), 0);
  }
  void WriteHosts(const std::string& text) { std::ofstream(folder_ / "hosts") << text; }
};

struct Case {
  const char* host;
  Texts addresses;
};

// Under the domain that is searched everything else leads to a wildcard.
TEST_F(NamesTest, OnlyWhatDoesNotExistIsSearchedFor) {
  const Texts wildcard = {"198.51.100.3", "2001:db8::bad"};
  const std::map<std::string, DnsAnswer> zone = {
      {"db46.example.net", Of({"192.0.2.1"}, {"2001:db8::1"})},
      {"db4.example.net", Of({"192.0.2.4"})},
      {"db6.example.net", Of({}, {"2001:db8::6"})},
      {"empty.example.net", Of({})},
      {"gone.example.net", Of(Kind::kNoSuchName)},
      {"failure.example.net", Of(Kind::kServerFailure)},
      {"refused.example.net", Of(Kind::kRefused)},
      {"loop.example.net", Of(Kind::kNameLoop)},
      {"alias.example.net", Of(Kind::kDeadAlias)},
      {"no4-failure6.example.net", Of(Kind::kNoSuchName, Kind::kServerFailure)},
      {"failure4-no6.example.net", Of(Kind::kServerFailure, Kind::kNoSuchName)},
      {"empty4-no6.example.net", Of(Kind::kAddresses, Kind::kNoSuchName)},
      {"no4-empty6.example.net", Of(Kind::kNoSuchName, Kind::kAddresses)},
      {"empty4-failure6.example.net", Of(Kind::kAddresses, Kind::kServerFailure)},
      {"some4-failure6.example.net", WithOtherKind(Of({"192.0.2.5"}), Kind::kServerFailure)},
      {"some4-no6.example.net", WithOtherKind(Of({"192.0.2.7"}), Kind::kNoSuchName)},
      {"failed.example.net", Of(Kind::kServerFailure)},
  };
  Start([zone, wildcard](const std::string& name) {
    auto found = zone.find(name);
    if (found != zone.end()) return found->second;
    return name.ends_with(".example.net") ? Of({wildcard[0]}, {wildcard[1]})
                                          : Of(Kind::kNoSuchName);
  });
  loop_.reset();
  StartWith(server_->conf() + "search example.net\n");
  const std::vector<Case> cases = {
      {"db46.example.net", {"192.0.2.1", "2001:db8::1"}},
      {"db4.example.net", {"192.0.2.4"}},
      {"db4.example.net.", {"192.0.2.4"}},
      {"db6.example.net", {"2001:db8::6"}},
      {"db6.example.net.", {"2001:db8::6"}},
      {"db6", {"2001:db8::6"}},
      {"empty.example.net", {}},
      {"failure.example.net", {}},
      {"refused.example.net", {}},
      {"loop.example.net", {}},
      {"alias.example.net", {}},
      {"no4-failure6.example.net", {}},
      {"failure4-no6.example.net", {}},
      {"empty4-no6.example.net", {}},
      {"no4-empty6.example.net", {}},
      {"empty4-failure6.example.net", {}},
      {"some4-failure6.example.net", {"192.0.2.5"}},
      {"some4-no6.example.net", {"192.0.2.7"}},
      {"gone.example.net.", {}},
      {"failed", {}},
  };
  for (const Case& one : cases) {
    const std::string host = one.host;
    EXPECT_EQ(Ask(host), one.addresses) << host;
    const std::string plain = host.substr(0, host.find_last_not_of('.') + 1);
    EXPECT_EQ(server_->questions(plain + ".example.net.example.net"), 0u) << host;
    if (plain.find('.') != plain.npos) {
      EXPECT_EQ(server_->questions(plain + ".example.net"), 0u) << host;
      EXPECT_GE(server_->questions(plain), 1u) << host;
      EXPECT_GE(server_->questions(plain, true), 1u) << host << ": both kinds";
    }
  }
  EXPECT_EQ(server_->questions("failed"), 0u) << "it may be there: no other name is meant";
  EXPECT_EQ(Ask("gone.example.net"), wildcard) << "this is what a search list is for";
  EXPECT_EQ(Ask("other.test"), wildcard);
}

TEST_F(NamesTest, ServersThatSayNothingEndTheSearch) {
  Start(
      [](const std::string& name) {
        return name == "silent.example.net" ? Of(Kind::kSilence) : Of({"198.51.100.3"});
      },
      30s, 100ms);
  loop_.reset();
  StartWith(server_->conf() + "search example.net\n", 30s, 100ms);
  EXPECT_EQ(Ask("silent.example.net"), Texts{});
  EXPECT_EQ(server_->questions("silent.example.net.example.net"), 0u);
}

TEST_F(NamesTest, AFamilyThatNobodyAnswersForHoldsUpTheOtherForAMomentOnly) {
  Start([](const std::string&) { return WithOtherKind(Of({"192.0.2.1"}), Kind::kSilence); }, 30s,
        10 * kTimeout);
  EXPECT_EQ(Ask("db.test"), Texts{"192.0.2.1"});
}

TEST_F(NamesTest, AServerThatFailsCostsTheFirstNameLittleAndOthersNothing) {
  for (Kind kind : {Kind::kSilence, Kind::kServerFailure, Kind::kRefused, Kind::kGarbage,
                    Kind::kWrongId, Kind::kNameLoop}) {
    NameServer bad([kind](const std::string&) { return Of(kind); });
    NameServer good([](const std::string&) { return Of({"192.0.2.1"}); });
    // No question would come back before the timeout.
    const auto begin = std::chrono::steady_clock::now();
    StartWith(bad.conf() + good.conf(), 30s, 10 * kTimeout);
    EXPECT_EQ(Ask("first.test"), Texts{"192.0.2.1"}) << static_cast<int>(kind);
    EXPECT_GE(bad.questions("first.test"), 1u) << static_cast<int>(kind);
    for (int i = 0; i < 5; ++i) {
      const std::string name = "name" + std::to_string(i) + ".test";
      EXPECT_EQ(Ask(name), Texts{"192.0.2.1"}) << static_cast<int>(kind);
      // After ten seconds the bad one is asked as well.
      if (std::chrono::steady_clock::now() - begin > 8s) continue;
      EXPECT_EQ(bad.questions(name), 0u) << static_cast<int>(kind);
    }
    loop_.reset();
  }
}

TEST_F(NamesTest, AServerThatIsGoneCostsNoTimeout) {
  NameServer good([](const std::string&) { return Of({"192.0.2.1"}); });
  StartWith("nameserver 127.0.0.1:1\n" + good.conf(), 30s, 10 * kTimeout);
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(Ask("name" + std::to_string(i) + ".test"), Texts{"192.0.2.1"});
  }
}

TEST_F(NamesTest, ASlowServerIsHeardAlthoughAnotherWasAsked) {
  NameServer slow([](const std::string&) {
    std::this_thread::sleep_for(1s);
    return Of({"192.0.2.1"});
  });
  NameServer silent([](const std::string&) { return Of(Kind::kSilence); });
  StartWith(slow.conf() + silent.conf(), 30s, 10 * kTimeout);
  EXPECT_EQ(Ask("db.test"), Texts{"192.0.2.1"});
}

Texts Addresses(size_t count) {
  Texts all;
  for (size_t i = 0; i < count; ++i) all.push_back("192.0.2." + std::to_string(i));
  return all;
}

TEST_F(NamesTest, AnAnswerThatFitsNoPacketIsAskedForByTcp) {
  const Texts forty = Addresses(40), hundred = Addresses(100);
  server_ = std::make_unique<NameServer>(
      [&](const std::string& name) {
        DnsAnswer answer = Of(name == "cut.test" ? forty : hundred);
        answer.kind = name == "cut.test" ? Kind::kTruncated : Kind::kFitting;
        return answer;
      },
      true);
  StartWith(server_->conf());
  EXPECT_EQ(Ask("cut.test"), forty);
  EXPECT_EQ(Ask("many.test"), Texts(hundred.begin(), hundred.begin() + 64));
}

TEST_F(NamesTest, FortyAddressesComeByUdpWhereThereIsNoTcp) {
  const Texts forty = Addresses(40);
  Start([forty](const std::string&) {
    DnsAnswer answer = Of(forty);
    answer.kind = Kind::kFitting;
    return answer;
  });
  EXPECT_EQ(Ask("many.test"), forty);
}

TEST_F(NamesTest, AServerThatKnowsNoEdnsIsAskedWithoutIt) {
  Start([](const std::string&) {
    DnsAnswer answer = Of({"192.0.2.1"});
    answer.kind = Kind::kNoEdns;
    return answer;
  });
  EXPECT_EQ(Ask("db.test"), Texts{"192.0.2.1"});
  EXPECT_EQ(Ask("other.test"), Texts{"192.0.2.1"});
}

TEST_F(NamesTest, TheFileOfNameServersIsReadAgainWhenItHasChanged) {
  NameServer first([](const std::string&) { return Of({"192.0.2.1"}); });
  NameServer second([](const std::string&) { return Of({"192.0.2.2"}); });
  StartWith(first.conf());
  EXPECT_EQ(Ask("one.test"), Texts{"192.0.2.1"});
  ::unlink((folder_ / "resolv.conf").c_str());
  EXPECT_EQ(Ask("two.test"), Texts{"192.0.2.1"}) << "while there is none, the last one counts";
  WriteConf(second.conf());
  EXPECT_EQ(Ask("three.test"), Texts{"192.0.2.2"});
  EXPECT_EQ(first.questions("three.test"), 0u);
  EXPECT_EQ(Known("one.test"), Texts{"192.0.2.1"}) << "it is not due yet";
}

TEST_F(NamesTest, QuestionsToServersThatAreNamedNoMoreAreStillAnswered) {
  std::atomic<bool> asked = false;
  NameServer first([&](const std::string&) {
    asked = true;
    std::this_thread::sleep_for(300ms);
    return Of({"192.0.2.1"});
  });
  NameServer second([](const std::string&) { return Of({"192.0.2.2"}); });
  StartWith(first.conf());
  std::promise<std::string> told;
  resolver_->Ask("one.test", [&](std::vector<SocketAddress> found) {
    told.set_value(found.empty() ? "none" : found[0].host());
  });
  EXPECT_TRUE(Eventually([&] { return asked.load(); }));
  WriteConf(second.conf());
  EXPECT_EQ(Ask("two.test"), Texts{"192.0.2.2"});
  EXPECT_EQ(told.get_future().get(), "192.0.2.1");
  EXPECT_TRUE(Eventually([&] { return Known("one.test") == Texts{"192.0.2.2"}; }))
      << "but it is asked for again at once";
}

TEST_F(NamesTest, ReadingAgainAsksForAllNamesAgainEvenThoseThatAreAskedForOnce) {
  for (Millis refresh : {Millis(3600000), Millis(0)}) {
    auto version = std::make_shared<std::atomic<int>>(1);
    Start(
        [version](const std::string& name) {
          if (name == "late.test" && *version == 1) return Of(Kind::kNoSuchName);
          return Of({"192.0.2." + std::to_string(*version)});
        },
        refresh);
    EXPECT_EQ(Ask("db.test"), Texts{"192.0.2.1"});
    EXPECT_EQ(Ask("late.test"), Texts{});
    *version = 2;
    loop_->Run([&] { resolver_->Reread(); });
    EXPECT_EQ(Ask("late.test"), Texts{"192.0.2.2"});
    EXPECT_TRUE(Eventually([&] { return Known("db.test") == Texts{"192.0.2.2"}; }));
    loop_.reset();
  }
}

TEST_F(NamesTest, TheHostsFileIsLookedAtFirstForTheNameAsItIsWritten) {
  WriteHosts("192.0.2.9 db db.test\n2001:db8::9 db\n192.0.2.10 other.example.net\n");
  Start([](const std::string&) { return Of({"192.0.2.1"}); });
  loop_.reset();
  StartWith(server_->conf() + "search example.net\n");
  EXPECT_EQ(Ask("db"), (Texts{"192.0.2.9", "2001:db8::9"}));
  EXPECT_EQ(Ask("db.test"), Texts{"192.0.2.9"});
  EXPECT_EQ(Ask("db.test."), Texts{"192.0.2.9"});
  EXPECT_EQ(server_->questions("db.example.net") + server_->questions("db.test"), 0u);
  EXPECT_EQ(Ask("other"), Texts{"192.0.2.1"}) << "the file is not searched";

  WriteHosts("192.0.2.11 db\n");
  loop_->Run([&] { resolver_->Reread(); });
  EXPECT_TRUE(Eventually([&] { return Known("db") == Texts{"192.0.2.11"}; }));
}

TEST_F(NamesTest, NamesThatCannotBeAskedForHaveNoAddress) {
  Start([](const std::string&) { return Of({"192.0.2.1"}); });
  for (const std::string& name : {std::string("two..dots"), std::string(64, 'x') + ".test"}) {
    EXPECT_EQ(Ask(name), Texts{}) << name;
  }
  EXPECT_EQ(Ask("db.test"), Texts{"192.0.2.1"});
}

TEST_F(NamesTest, MoreNamesThanMayBeAskedForAtATimeWaitForTheirTurn) {
  Start([](const std::string&) { return Of({"192.0.2.1"}); }, 30s, 10 * kTimeout);
  std::atomic<int> told = 0;
  for (int i = 0; i < 3000; ++i) {
    resolver_->Ask("name" + std::to_string(i) + ".test", [&](std::vector<SocketAddress> found) {
      EXPECT_EQ(found.size(), 1u);
      ++told;
    });
  }
  EXPECT_TRUE(Eventually([&] { return told == 3000; })) << told;
  loop_.reset();
}

}  // namespace
}  // namespace rum
