// Addresses from which logins fail: blocked in time, for a time, and never without bound.
#include "limits/login_guard.h"

#include <gtest/gtest.h>

namespace rum {
namespace {

uint64_t now = 0;
uint64_t Clock() { return now; }
constexpr uint64_t kSecond = 1'000'000;

SocketAddress At(const std::string& host, uint16_t port = 40000) {
  return *SocketAddress::Numeric(host, port);
}

std::vector<uint64_t> woken;

// A guard with its settings.
class Guard {
 public:
  explicit Guard(LoginGuard::Settings settings) : settings_(std::move(settings)) {}
  bool Blocks(const SocketAddress& address) { return guard_.Blocks(settings_, address); }
  bool Failed(const SocketAddress& address, LoginGuard::Attempt* attempt = nullptr) {
    return guard_.Failed(settings_, address, attempt);
  }
  LoginGuard::Answer Try(LoginGuard::Attempt* attempt, uint64_t ticket,
                         const std::string& host = "192.0.2.1") {
    return guard_.Try(settings_, *SocketAddress::Numeric(host, 40000), ticket, attempt);
  }
  LoginGuard::Settings& settings() { return settings_; }
  bool Unblock(const SocketAddress& address) {
    return guard_.Unblock(LoginGuard::KeyOf(settings_, address));
  }
  size_t blocked() const { return guard_.blocked(); }
  size_t watched() const { return guard_.watched(); }

 private:
  LoginGuard::Settings settings_;
  LoginGuard guard_{Clock, [](uint64_t ticket) { woken.push_back(ticket); }};
};

class LoginGuardTest : public testing::Test {
 protected:
  LoginGuardTest() {
    now = 1000 * kSecond;
    woken.clear();
  }
  using Attempt = LoginGuard::Attempt;
  using Answer = LoginGuard::Answer;
  // How many failures it takes.
  int FailUntilBlocked(Guard& guard, const std::string& host) {
    for (int i = 1; i <= 1000; ++i) {
      if (guard.Failed(At(host, static_cast<uint16_t>(i)))) return i;
    }
    return 0;
  }
};

TEST_F(LoginGuardTest, BlocksAnAddressForAWhile) {
  Guard guard({{5, Millis(60000)}, Millis(30000), {}});
  for (int i = 0; i < 4; ++i) EXPECT_FALSE(guard.Failed(At("192.0.2.1")));
  EXPECT_FALSE(guard.Blocks(At("192.0.2.1")));
  EXPECT_TRUE(guard.Failed(At("192.0.2.1", 50000)));
  EXPECT_TRUE(guard.Blocks(At("192.0.2.1", 1)));
  EXPECT_FALSE(guard.Blocks(At("192.0.2.2")));
  EXPECT_EQ(guard.blocked(), 1u);
  now += 30 * kSecond - 1;
  EXPECT_TRUE(guard.Blocks(At("192.0.2.1")));
  now += 1;
  EXPECT_FALSE(guard.Blocks(At("192.0.2.1")));
  EXPECT_EQ(guard.blocked(), 0u);
  // And it begins anew.
  EXPECT_EQ(FailUntilBlocked(guard, "192.0.2.1"), 5);
}

TEST_F(LoginGuardTest, AnOperatorEndsABlockAndTheCountBeginsAnew) {
  Guard guard({{5, Millis(60000)}, Millis(30000), {}, 64});
  EXPECT_FALSE(guard.Unblock(At("192.0.2.1"))) << "never seen";
  EXPECT_EQ(guard.watched(), 0u);
  for (const char* host : {"192.0.2.1", "192.0.2.2", "2001:db8::1"}) {
    EXPECT_EQ(FailUntilBlocked(guard, host), 5);
  }
  EXPECT_TRUE(guard.Unblock(At("192.0.2.1", 1)));
  EXPECT_FALSE(guard.Blocks(At("192.0.2.1")));
  EXPECT_TRUE(guard.Blocks(At("192.0.2.2")));
  EXPECT_TRUE(guard.Unblock(At("2001:db8::ffff"))) << "its network was blocked";
  EXPECT_FALSE(guard.Blocks(At("2001:db8::1")));
  EXPECT_EQ(guard.blocked(), 1u);
  EXPECT_FALSE(guard.Unblock(At("192.0.2.1"))) << "not blocked any more";
  EXPECT_EQ(FailUntilBlocked(guard, "192.0.2.1"), 5);
  EXPECT_TRUE(guard.Blocks(At("192.0.2.1"))) << "it may be blocked again";
  now += 40 * kSecond;
  EXPECT_FALSE(guard.Unblock(At("192.0.2.2"))) << "it has ended by itself";
}

TEST_F(LoginGuardTest, CountsFailuresOfOtherProcesses) {
  LoginGuard guard(Clock);
  const LoginGuard::Settings settings{{5, Millis(5000)}, Millis(30000), {}};
  EXPECT_FALSE(guard.Failed(settings, At("192.0.2.1")));
  EXPECT_TRUE(guard.Charges(10).empty()) << "nobody shares";
  guard.CountCharges();
  EXPECT_FALSE(guard.Failed(settings, At("192.0.2.1")));
  ASSERT_EQ(guard.Charges(10).size(), 1u);
  EXPECT_EQ(guard.Charges(10)[0].first.text(), "192.0.2.1/32");
  EXPECT_EQ(guard.Charges(10)[0].second.micros, kSecond);
  const Cidr key = LoginGuard::KeyOf(settings, At("192.0.2.1"));
  guard.Charge(key, 2 * kSecond, now);
  EXPECT_TRUE(guard.Failed(settings, At("192.0.2.1"))) << "the fifth of all";
  EXPECT_TRUE(guard.Unblock(key));
  // What others count alone blocks nobody: the next failure here does.
  guard.Charge(key, 100 * kSecond, now);
  EXPECT_FALSE(guard.Blocks(settings, At("192.0.2.1")));
  EXPECT_TRUE(guard.Failed(settings, At("192.0.2.1")));
  now += 100 * kSecond;
  for (int i = 0; i < 100000; ++i) {
    guard.Charge(LoginGuard::KeyOf(
                     settings, At("10." + std::to_string(i >> 16) + "." +
                                  std::to_string(i >> 8 & 255) + "." + std::to_string(i & 255))),
                 kSecond, now);
  }
  EXPECT_LE(guard.watched(), LoginGuard::kShards * LoginGuard::kAddressesMost);
}

TEST_F(LoginGuardTest, ForgivesInTime) {
  Guard guard({{5, Millis(60000)}, Millis(30000), {}});
  for (int i = 0; i < 100; ++i) {
    EXPECT_FALSE(guard.Failed(At("192.0.2.1")));
    now += 12 * kSecond;  // five a minute
  }
  EXPECT_FALSE(guard.Blocks(At("192.0.2.1")));
}

TEST_F(LoginGuardTest, OneFailureIsEnoughIfSaid) {
  Guard guard({{1, Millis(60000)}, Millis(30000), {}});
  EXPECT_TRUE(guard.Failed(At("192.0.2.1")));
  EXPECT_TRUE(guard.Blocks(At("192.0.2.1")));
}

TEST_F(LoginGuardTest, FailuresDuringTheBlockDoNotMakeItLonger) {
  Guard guard({{2, Millis(60000)}, Millis(30000), {}});
  EXPECT_EQ(FailUntilBlocked(guard, "192.0.2.1"), 2);
  now += 29 * kSecond;
  for (int i = 0; i < 100; ++i) EXPECT_FALSE(guard.Failed(At("192.0.2.1")));
  now += kSecond;
  EXPECT_FALSE(guard.Blocks(At("192.0.2.1")));
  EXPECT_EQ(FailUntilBlocked(guard, "192.0.2.1"), 2);
}

TEST_F(LoginGuardTest, TakesAnIpv6NetworkOf64BitsForOneAddress) {
  Guard guard({{3, Millis(60000)}, Millis(30000), {}});
  EXPECT_FALSE(guard.Failed(At("2001:db8::1")));
  EXPECT_FALSE(guard.Failed(At("2001:db8::2")));
  EXPECT_TRUE(guard.Failed(At("2001:db8:0:0:ffff::3")));
  EXPECT_TRUE(guard.Blocks(At("2001:db8::9")));
  EXPECT_FALSE(guard.Blocks(At("2001:db8:0:1::1")));
  // An IPv4 address in the clothes of IPv6 is that address.
  EXPECT_EQ(FailUntilBlocked(guard, "::ffff:192.0.2.1"), 3);
  EXPECT_TRUE(guard.Blocks(At("192.0.2.1")));
  EXPECT_FALSE(guard.Blocks(At("192.0.2.2")));
}

TEST_F(LoginGuardTest, TakesAnIpv6NetworkOfThePrefixForOneAddress) {
  Guard guard({{2, Millis(60000)}, Millis(30000), {}, 56});
  EXPECT_FALSE(guard.Failed(At("2001:db8:0:1::1")));
  EXPECT_TRUE(guard.Failed(At("2001:db8:0:ff::1")));
  EXPECT_TRUE(guard.Blocks(At("2001:db8:0:2::1")));
  EXPECT_FALSE(guard.Blocks(At("2001:db8:0:100::1")));
  Guard exact({{2, Millis(60000)}, Millis(30000), {}, 128});
  EXPECT_EQ(FailUntilBlocked(exact, "2001:db8::1"), 2);
  EXPECT_FALSE(exact.Blocks(At("2001:db8::2")));
  // IPv4 addresses count alone, whatever the prefix.
  EXPECT_EQ(FailUntilBlocked(guard, "192.0.2.1"), 2);
  EXPECT_FALSE(guard.Blocks(At("192.0.2.2")));
}

// A reload changes the prefix while proofs are under way and wait.
TEST_F(LoginGuardTest, LosesNoAttemptWhenThePrefixChanges) {
  const char* host = "2001:db8::1";
  Guard guard({{2, Millis(60000)}, Millis(30000), {}, 64});
  Attempt attempts[6];
  EXPECT_EQ(guard.Try(&attempts[0], 1, host), Answer::kGo);
  EXPECT_EQ(guard.Try(&attempts[1], 2, host), Answer::kGo);
  EXPECT_EQ(guard.Try(&attempts[2], 3, host), Answer::kWait);
  EXPECT_EQ(guard.Try(&attempts[3], 4, host), Answer::kWait);
  guard.settings().ip_prefix = 48;
  // The one that waits goes on in the new network.
  EXPECT_EQ(guard.Try(&attempts[2], 5, host), Answer::kGo);
  EXPECT_TRUE(woken.empty());
  // What fails counts there, and its old place is for who waits there.
  EXPECT_FALSE(guard.Failed(At(host), &attempts[0]));
  EXPECT_EQ(woken, (std::vector<uint64_t>{4}));
  EXPECT_FALSE(attempts[0].under_way());
  EXPECT_TRUE(attempts[3].under_way());
  EXPECT_TRUE(guard.Failed(At(host)));
  EXPECT_TRUE(guard.Blocks(At("2001:db8:0:7::1")));
  for (Attempt& attempt : attempts) attempt.Release();
  now += 100 * kSecond;
  // Nothing of the old network is left behind.
  EXPECT_EQ(guard.Try(&attempts[4], 6, "192.0.2.1"), Answer::kGo);
  attempts[4].Release();
  guard.settings().ip_prefix = 64;
  EXPECT_EQ(guard.Try(&attempts[4], 7, host), Answer::kGo);
  EXPECT_EQ(guard.Try(&attempts[5], 8, host), Answer::kGo);
}

TEST_F(LoginGuardTest, NeverBlocksWhoIsExemptOrOnAUnixSocketOrWhenOff) {
  Guard guard({{1, Millis(60000)}, Millis(30000), *CidrSet::Parse("10.0.0.0/8")});
  sockaddr unix_address = {};
  unix_address.sa_family = AF_UNIX;
  auto unix_client = SocketAddress::From(&unix_address, sizeof unix_address);
  for (int i = 0; i < 10; ++i) {
    EXPECT_FALSE(guard.Failed(At("10.1.2.3")));
    EXPECT_FALSE(guard.Failed(unix_client));
  }
  EXPECT_FALSE(guard.Blocks(At("10.1.2.3")) || guard.Blocks(unix_client));
  EXPECT_EQ(guard.watched(), 0u);
  Guard off({});
  for (int i = 0; i < 10; ++i) EXPECT_FALSE(off.Failed(At("192.0.2.1")));
  EXPECT_FALSE(off.Blocks(At("192.0.2.1")));
}

TEST_F(LoginGuardTest, IsBoundedAndForgetsTheOldestFirst) {
  Guard guard({{2, Millis(86400000)}, Millis(3600000), {}});
  const size_t most = LoginGuard::kShards * LoginGuard::kAddressesMost;
  for (uint32_t i = 0; i < most + 30000; ++i) {
    guard.Failed(At("10." + std::to_string(i >> 16 & 255) + "." + std::to_string(i >> 8 & 255) +
                    "." + std::to_string(i & 255)));
  }
  EXPECT_LE(guard.watched(), most);
  EXPECT_GT(guard.watched(), most / 2);
  // The last one is still known: its second failure blocks.
  EXPECT_TRUE(guard.Failed(At("10.1.117.47")));
  // Time makes all of them go, a shard with each failure that comes to it.
  now += 2 * 86400 * kSecond;
  for (uint32_t i = 0; i < 3000; ++i) {
    guard.Failed(At("172.16." + std::to_string(i >> 8) + "." + std::to_string(i & 255)));
  }
  EXPECT_LE(guard.watched(), 3000u);
}

TEST_F(LoginGuardTest, WhatIsUnderWayCountsAsTried) {
  Guard guard({{3, Millis(3600000)}, Millis(60000), {}});
  EXPECT_FALSE(guard.Failed(At("192.0.2.1")));
  Attempt attempts[5];
  EXPECT_EQ(guard.Try(&attempts[0], 1), Answer::kGo);
  EXPECT_EQ(guard.Try(&attempts[1], 2), Answer::kGo);
  EXPECT_EQ(guard.Try(&attempts[1], 2), Answer::kGo) << "the same, once more";
  EXPECT_EQ(guard.Try(&attempts[2], 3), Answer::kWait);
  EXPECT_EQ(guard.Try(&attempts[3], 4), Answer::kWait);
  Attempt elsewhere;
  EXPECT_EQ(guard.Try(&elsewhere, 5, "192.0.2.2"), Answer::kGo);
  // One has succeeded: the next may go.
  attempts[0].Release();
  EXPECT_EQ(woken, (std::vector<uint64_t>{3}));
  EXPECT_TRUE(attempts[2].under_way());
  EXPECT_EQ(guard.Try(&attempts[2], 3), Answer::kGo);
  EXPECT_EQ(guard.Try(&attempts[4], 6), Answer::kWait) << "behind who came before";
  // One fails, and its place with it; another, and the address is blocked.
  EXPECT_FALSE(guard.Failed(At("192.0.2.1"), &attempts[1]));
  EXPECT_EQ(woken.size(), 1u);
  EXPECT_TRUE(guard.Failed(At("192.0.2.1"), &attempts[2]));
  EXPECT_EQ(woken, (std::vector<uint64_t>{3, 4, 6}));
  for (Attempt& attempt : attempts) EXPECT_EQ(guard.Try(&attempt, 9), Answer::kBlocked);
  EXPECT_EQ(woken.size(), 3u);
}

TEST_F(LoginGuardTest, WhoWaitsAndLeavesIsNotWokenAndHoldsUpNobody) {
  Guard guard({{1, Millis(3600000)}, Millis(60000), {}});
  Attempt first, last;
  EXPECT_EQ(guard.Try(&first, 1), Answer::kGo);
  {
    Attempt gone;
    EXPECT_EQ(guard.Try(&gone, 2), Answer::kWait);
    EXPECT_EQ(guard.Try(&last, 3), Answer::kWait);
  }
  first.Release();
  EXPECT_EQ(woken, (std::vector<uint64_t>{3}));
  // Its turn has come and it leaves before it has heard so.
  EXPECT_EQ(guard.Try(&first, 4), Answer::kWait);
  last.Release();
  EXPECT_EQ(woken, (std::vector<uint64_t>{3, 4}));
}

TEST_F(LoginGuardTest, OneMayGoWhateverAReloadMakesOfTheRate) {
  Guard guard({{4, Millis(86400000)}, Millis(1000), {}});
  for (int i = 0; i < 3; ++i) EXPECT_FALSE(guard.Failed(At("192.0.2.1")));
  guard.settings().failures = {4, Millis(1000)};  // by which none is left for hours
  Attempt one, two;
  EXPECT_EQ(guard.Try(&one, 1), Answer::kGo);
  EXPECT_EQ(guard.Try(&two, 2), Answer::kWait);
  EXPECT_TRUE(guard.Failed(At("192.0.2.1"), &one));
  EXPECT_EQ(woken, (std::vector<uint64_t>{2}));
}

TEST_F(LoginGuardTest, LoginsThatSucceedPushOutNoBlockedAddress) {
  Guard guard({{2, Millis(86400000)}, Millis(3600000), {}});
  EXPECT_FALSE(guard.Failed(At("192.0.2.1")));
  EXPECT_TRUE(guard.Failed(At("192.0.2.1")));
  for (uint32_t i = 0; i < 2 * LoginGuard::kShards * LoginGuard::kAddressesMost; ++i) {
    Attempt attempt;
    guard.Try(&attempt, 1,
              "10." + std::to_string(i >> 16 & 255) + "." + std::to_string(i >> 8 & 255) + "." +
                  std::to_string(i & 255));
  }
  EXPECT_TRUE(guard.Blocks(At("192.0.2.1")));
  EXPECT_EQ(guard.watched(), 1u);
}

}  // namespace
}  // namespace rum
