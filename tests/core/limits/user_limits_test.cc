// Places for the sessions of users: exact counts, rates, and nothing kept of who is gone.
#include "limits/user_limits.h"

#include <gtest/gtest.h>

#include <vector>

namespace rum {
namespace {

using Answer = UserLimits::Answer;
using Place = UserLimits::Place;

uint64_t now = 0;
uint64_t Clock() { return now; }
constexpr uint64_t kSecond = 1'000'000;

class UserLimitsTest : public testing::Test {
 protected:
  UserLimitsTest() { now = 1000 * kSecond; }
  Answer Take(std::string_view user, const UserLimit& limit, Place* place) {
    return limits.Take(user, limit, place);
  }
  UserLimits limits{Clock};
};

TEST_F(UserLimitsTest, GivesNoMoreThanThereAre) {
  std::vector<Place> places(3);
  const UserLimit three = {3, {}};
  for (Place& place : places) EXPECT_EQ(Take("alice", three, &place), Answer::kTaken);
  Place one_more;
  EXPECT_EQ(Take("alice", three, &one_more), Answer::kTooMany);
  EXPECT_FALSE(one_more);
  Place other;
  EXPECT_EQ(Take("bob", three, &other), Answer::kTaken);
  EXPECT_EQ(limits.active(), 2u);
  places[1].Release();
  EXPECT_EQ(Take("alice", three, &one_more), Answer::kTaken);
  EXPECT_EQ(Take("alice", three, &places[1]), Answer::kTooMany);
}

TEST_F(UserLimitsTest, CountsAlsoWhereThereIsNoLimitYet) {
  std::vector<Place> places(10);
  for (Place& place : places) EXPECT_EQ(Take("alice", {}, &place), Answer::kTaken);
  // A new map gives her a limit that she is beyond.
  Place more;
  EXPECT_EQ(Take("alice", {5, {}}, &more), Answer::kTooMany);
  places.resize(4);
  EXPECT_EQ(Take("alice", {5, {}}, &more), Answer::kTaken);
  EXPECT_EQ(Take("alice", {5, {}}, &places.emplace_back()), Answer::kTooMany);
}

TEST_F(UserLimitsTest, APlaceGivesBackWhatItHeldBefore) {
  Place place;
  for (const char* user : {"alice", "bob", "alice", "alice"}) {
    EXPECT_EQ(Take(user, {1, {}}, &place), Answer::kTaken) << user;
    EXPECT_EQ(limits.active(), 1u);
  }
  Place moved = std::move(place);
  EXPECT_FALSE(place);
  EXPECT_EQ(Take("alice", {1, {}}, &place), Answer::kTooMany);
  moved = Place();
  EXPECT_EQ(limits.active(), 0u);
  EXPECT_EQ(limits.entries(), 0u);
}

TEST_F(UserLimitsTest, KeepsToTheRateAndForgetsWhenTheBucketIsFull) {
  const UserLimit limit = {0, {2, Millis(1000)}};
  Place place;
  EXPECT_EQ(Take("alice", limit, &place), Answer::kTaken);
  EXPECT_EQ(Take("alice", limit, &place), Answer::kTaken);
  EXPECT_EQ(Take("alice", limit, &place), Answer::kTooFast);
  EXPECT_FALSE(place);
  EXPECT_EQ(limits.active(), 0u);
  EXPECT_EQ(limits.entries(), 1u);  // or she could come at once again
  now += kSecond / 2;
  EXPECT_EQ(Take("alice", limit, &place), Answer::kTaken);
  EXPECT_EQ(Take("alice", limit, &place), Answer::kTooFast);
  now += kSecond;
  // Any other login of the same shard tidies up.
  for (int i = 0; i < 2000; ++i) {
    EXPECT_EQ(Take("user" + std::to_string(i), {}, &place), Answer::kTaken);
  }
  place.Release();
  EXPECT_EQ(limits.entries(), 0u);
}

TEST_F(UserLimitsTest, ARefusalCostsNothingOfTheRate) {
  const UserLimit limit = {1, {2, Millis(1000)}};
  Place place, more;
  EXPECT_EQ(Take("alice", limit, &place), Answer::kTaken);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(Take("alice", limit, &more), Answer::kTooMany);
  place.Release();
  EXPECT_EQ(Take("alice", limit, &place), Answer::kTaken);
}

TEST_F(UserLimitsTest, IsBoundedWhateverNamesCome) {
  const UserLimit limit = {0, {1, Millis(3600000)}};
  Place place;
  const size_t most = UserLimits::kShards * (UserLimits::kIdleMost + 1);
  for (size_t i = 0; i < most + 20000; ++i) {
    EXPECT_EQ(Take(std::to_string(i), limit, &place), Answer::kTaken);
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
  using Names = Places<CountingName, CountingName, CountingHash>;
  constexpr int kNames = 20000;
  constexpr size_t kMost = 10000;
  Names names{Clock};
  std::vector<Names::Place> places(kNames + 100);
  for (int i = 0; i < kNames; ++i) names.Take(CountingName(i), {}, &places[static_cast<size_t>(i)]);
  for (int i = 0; i < 100; ++i) {
    names.Take(CountingName(i * 7), {}, &places[static_cast<size_t>(kNames + i)]);
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

}  // namespace
}  // namespace rum
