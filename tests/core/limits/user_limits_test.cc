// Places for the sessions of users: exact counts, rates, and nothing kept of who is gone.
#include "limits/user_limits.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace rum {
namespace {

using Answer = UserLimits::Answer;
using Lease = UserLimits::Lease;

uint64_t now = 0;
uint64_t Clock() { return now; }
constexpr uint64_t kSecond = 1'000'000;

class UserLimitsTest : public testing::Test {
 protected:
  UserLimitsTest() { now = 1000 * kSecond; }
  Answer Take(std::string_view user, const UserLimit& limit, Lease* lease) {
    return limits.Take(user, limit, lease);
  }
  UserLimits limits{Clock};
};

TEST_F(UserLimitsTest, GivesNoMoreThanThereAre) {
  std::vector<Lease> leases(3);
  const UserLimit three = {3, {}};
  for (Lease& lease : leases) EXPECT_EQ(Take("alice", three, &lease), Answer::kTaken);
  Lease one_more;
  EXPECT_EQ(Take("alice", three, &one_more), Answer::kTooMany);
  EXPECT_FALSE(one_more);
  Lease other;
  EXPECT_EQ(Take("bob", three, &other), Answer::kTaken);
  EXPECT_EQ(limits.active(), 2u);
  leases[1].Release();
  EXPECT_EQ(Take("alice", three, &one_more), Answer::kTaken);
  EXPECT_EQ(Take("alice", three, &leases[1]), Answer::kTooMany);
}

TEST_F(UserLimitsTest, CountsAlsoWhereThereIsNoLimitYet) {
  std::vector<Lease> leases(10);
  for (Lease& lease : leases) EXPECT_EQ(Take("alice", {}, &lease), Answer::kTaken);
  // A new map gives her a limit that she is beyond.
  Lease more;
  EXPECT_EQ(Take("alice", {5, {}}, &more), Answer::kTooMany);
  leases.resize(4);
  EXPECT_EQ(Take("alice", {5, {}}, &more), Answer::kTaken);
  EXPECT_EQ(Take("alice", {5, {}}, &leases.emplace_back()), Answer::kTooMany);
}

TEST_F(UserLimitsTest, APlaceGivesBackWhatItHeldBefore) {
  Lease lease;
  for (const char* user : {"alice", "bob", "alice", "alice"}) {
    EXPECT_EQ(Take(user, {1, {}}, &lease), Answer::kTaken) << user;
    EXPECT_EQ(limits.active(), 1u);
  }
  Lease moved = std::move(lease);
  EXPECT_FALSE(lease);
  EXPECT_EQ(Take("alice", {1, {}}, &lease), Answer::kTooMany);
  moved = Lease();
  EXPECT_EQ(limits.active(), 0u);
  EXPECT_EQ(limits.entries(), 0u);
}

TEST_F(UserLimitsTest, KeepsToTheRateAndForgetsWhenTheBucketIsFull) {
  const UserLimit limit = {0, {2, Millis(1000)}};
  Lease lease;
  EXPECT_EQ(Take("alice", limit, &lease), Answer::kTaken);
  EXPECT_EQ(Take("alice", limit, &lease), Answer::kTaken);
  EXPECT_EQ(Take("alice", limit, &lease), Answer::kTooFast);
  EXPECT_FALSE(lease);
  EXPECT_EQ(limits.active(), 0u);
  EXPECT_EQ(limits.entries(), 1u);  // or she could come at once again
  now += kSecond / 2;
  EXPECT_EQ(Take("alice", limit, &lease), Answer::kTaken);
  EXPECT_EQ(Take("alice", limit, &lease), Answer::kTooFast);
  now += kSecond;
  // Any other login of the same shard tidies up.
  for (int i = 0; i < 2000; ++i) {
    EXPECT_EQ(Take("user" + std::to_string(i), {}, &lease), Answer::kTaken);
  }
  lease.Release();
  EXPECT_EQ(limits.entries(), 0u);
}

TEST_F(UserLimitsTest, ARefusalCostsNothingOfTheRate) {
  const UserLimit limit = {1, {2, Millis(1000)}};
  Lease lease, more;
  EXPECT_EQ(Take("alice", limit, &lease), Answer::kTaken);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(Take("alice", limit, &more), Answer::kTooMany);
  lease.Release();
  EXPECT_EQ(Take("alice", limit, &lease), Answer::kTaken);
}

TEST_F(UserLimitsTest, AFasterRateAppliesToWhatASlowerOneHasTaken) {
  const UserLimit slow = {0, {1, Millis(86400000)}}, fast = {0, {5, Millis(1000)}};
  Lease lease;
  EXPECT_EQ(Take("alice", slow, &lease), Answer::kTaken);
  EXPECT_EQ(Take("alice", slow, &lease), Answer::kTooFast);
  EXPECT_EQ(Take("alice", fast, &lease), Answer::kTooFast) << "the bucket is empty";
  now += 2 * kSecond;
  EXPECT_EQ(limits.RoomFor("alice", fast).places, 5u);
  EXPECT_EQ(Take("alice", fast, &lease), Answer::kTaken);
}

TEST_F(UserLimitsTest, IsBoundedWhateverNamesCome) {
  const UserLimit limit = {0, {1, Millis(3600000)}};
  Lease lease;
  const size_t most = UserLimits::kShards * (UserLimits::kIdleMost + 1);
  for (size_t i = 0; i < most + 20000; ++i) {
    EXPECT_EQ(Take(std::to_string(i), limit, &lease), Answer::kTaken);
  }
  EXPECT_LE(limits.entries(), most + 1);
  EXPECT_GT(limits.entries(), most / 2);
}

// A name that counts how often it is copied, moved and compared.
struct CountingName {
  static inline uint64_t work = 0;
  explicit CountingName(int number) : number(number) {}
  CountingName(const CountingName& other) : number(other.number) { ++work; }
  CountingName(CountingName&& other) noexcept : number(other.number) { ++work; }
  CountingName& operator=(const CountingName& other) {
    number = other.number;
    ++work;
    return *this;
  }
  bool operator<(const CountingName& other) const {
    ++work;
    return number < other.number;
  }
  bool operator==(const CountingName& other) const { return number == other.number; }
  int number;
};
struct CountingHash {
  size_t operator()(const CountingName& name) const {
    return static_cast<size_t>(name.number) * 0x9e3779b97f4a7c15;
  }
};

TEST(Top, OfManyIsFoundWithoutQuadraticWork) {
  using Names = KeyedLimiter<CountingName, CountingName, CountingHash>;
  constexpr int kNames = 20000;
  constexpr size_t kMost = 10000;
  Names names{Clock};
  std::vector<Names::Lease> leases(kNames + 100);
  for (int i = 0; i < kNames; ++i) names.Take(CountingName(i), {}, &leases[static_cast<size_t>(i)]);
  for (int i = 0; i < 100; ++i) {
    names.Take(CountingName(i * 7), {}, &leases[static_cast<size_t>(kNames + i)]);
  }
  CountingName::work = 0;
  const auto top = names.Top(kMost);
  EXPECT_LT(CountingName::work, 200u * kNames);
  ASSERT_EQ(top.size(), kMost);
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(top[static_cast<size_t>(i)].first.number, i * 7);
    EXPECT_EQ(top[static_cast<size_t>(i)].second, 2u);
  }
  int next = 0;
  for (size_t i = 100; i < kMost; ++i) {
    while (next % 7 == 0 && next < 700) ++next;
    ASSERT_EQ(top[i].first.number, next++) << "those of one session by name";
    ASSERT_EQ(top[i].second, 1u);
  }
  EXPECT_EQ(names.Top(0).size(), 0u);
  EXPECT_EQ(names.Top(1).size(), 1u);
  EXPECT_EQ(names.Top(kNames * 2).size(), static_cast<size_t>(kNames));
}

TEST_F(UserLimitsTest, SaysWhatItHasChargedUntilTheBucketIsFullAndOthersKnow) {
  const UserLimit two = {0, {2, Millis(2000)}};
  Lease lease;
  EXPECT_EQ(Take("alice", two, &lease), Answer::kTaken);
  EXPECT_TRUE(limits.Charges(10).empty()) << "nobody shares";
  limits.CountCharges();
  now += 10 * kSecond;
  lease.Release();
  EXPECT_EQ(limits.entries(), 0u);
  EXPECT_EQ(Take("alice", two, &lease), Answer::kTaken);
  EXPECT_EQ(Take("bob", {}, &lease), Answer::kTaken) << "without a rate";
  auto charges = limits.Charges(10);
  ASSERT_EQ(charges.size(), 1u);
  EXPECT_EQ(charges[0].first, "alice");
  EXPECT_EQ(charges[0].second.micros, kSecond);
  const uint64_t span = charges[0].second.span;
  EXPECT_GT(span, 0u);
  EXPECT_EQ(Take("alice", two, &lease), Answer::kTaken);
  EXPECT_EQ(Take("alice", two, &lease), Answer::kTooFast);
  EXPECT_EQ(limits.Charges(10)[0].second, (RateCharge{span, 2 * kSecond})) << "a refusal is free";
  now += kSecond;
  EXPECT_EQ(Take("alice", two, &lease), Answer::kTaken);
  now += 10 * kSecond;
  EXPECT_EQ(limits.Charges(10)[0].second, (RateCharge{span, 3 * kSecond}))
      << "full by now, but the last login is news";
  EXPECT_TRUE(limits.Charges(10).empty());
  EXPECT_EQ(Take("alice", two, &lease), Answer::kTaken);
  charges = limits.Charges(10);
  EXPECT_EQ(charges[0].second.micros, kSecond);
  EXPECT_GT(charges[0].second.span, span);
}

TEST_F(UserLimitsTest, KeepsAKeyThatOthersDoNotKnowYetWithinItsBound) {
  limits.CountCharges();
  for (int i = 0; i < 100000; ++i) {
    Lease lease;
    Take("user" + std::to_string(i), {0, {5, Millis(10)}}, &lease);
  }
  now += 10 * kSecond;
  EXPECT_GT(limits.Charges(1000000).size(), 10000u);
  EXPECT_LE(limits.entries(), (UserLimits::kIdleMost + 1) * UserLimits::kShards);
  EXPECT_TRUE(limits.Charges(1000000).empty());
  for (int i = 0; i < 1000; ++i) {
    Lease lease;
    Take("other" + std::to_string(i), {}, &lease);
  }
  EXPECT_EQ(limits.entries(), 0u);
}

TEST_F(UserLimitsTest, DeductsWhatOthersHaveCharged) {
  limits.CountCharges();
  const UserLimit three = {0, {3, Millis(3000)}};
  Lease lease;
  EXPECT_EQ(Take("alice", three, &lease), Answer::kTaken);
  limits.Charge("alice", 2 * kSecond, now);
  limits.Charge("bob", kSecond, now - kSecond / 2);
  EXPECT_EQ(limits.RoomFor("alice", three).places, 0u);
  EXPECT_EQ(Take("alice", three, &lease), Answer::kTooFast);
  EXPECT_EQ(limits.RoomFor("bob", three).places, 2u);
  EXPECT_EQ(limits.Charges(10).size(), 1u) << "what others have charged is not published again";
  now += kSecond;
  EXPECT_EQ(Take("alice", three, &lease), Answer::kTaken);
  // However much it was, one login is possible after a period.
  limits.Charge("alice", UINT64_MAX, now);
  EXPECT_EQ(limits.RoomFor("alice", three).places, 0u);
  now += 4 * kSecond;
  EXPECT_EQ(Take("alice", three, &lease), Answer::kTaken);
  lease.Release();
  for (int i = 0; i < 100000; ++i) limits.Charge("x" + std::to_string(i), kSecond, now);
  EXPECT_LE(limits.entries(), (UserLimits::kIdleMost + 1) * UserLimits::kShards);
}

}  // namespace
}  // namespace rum
