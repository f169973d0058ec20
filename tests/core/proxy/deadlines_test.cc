#include "proxy/deadlines.h"

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <memory>
#include <vector>

#include "proxy/session.h"
#include "support/lone_worker.h"

namespace rum {
namespace {

using namespace std::chrono_literals;

// Deadlines only pass a session on: here it is memory that nobody looks into.
struct alignas(Session) Place {
  std::byte bytes[sizeof(Session)];
};
Place places[32];
Session& S(size_t i) { return reinterpret_cast<Session&>(places[i]); }
size_t NumberOf(const Session& session) {
  return static_cast<size_t>(reinterpret_cast<const Place*>(&session) - places);
}

std::function<void(size_t)> on_expired;
void Expired(Session& session) { on_expired(NumberOf(session)); }

class DeadlinesTest : public test::LoneWorker {
 protected:
  DeadlinesTest() {
    on_expired = [this](size_t i) { expired_.push_back(i); };
  }
  ~DeadlinesTest() override { on_expired = {}; }

  std::vector<size_t> expired_;
};

TEST_F(DeadlinesTest, ExpireInTheOrderInWhichTheyWereArmed) {
  Deadlines list(loop(), 20ms, Expired);
  Deadline d[3];
  for (size_t i : {2, 0, 1}) list.Arm(d[i], S(i));
  EXPECT_TRUE(d[0].armed());
  EXPECT_TRUE(TurnUntil([&] { return expired_.size() == 3; }));
  EXPECT_EQ(expired_, (std::vector<size_t>{2, 0, 1}));
  EXPECT_FALSE(d[0].armed());
}

TEST_F(DeadlinesTest, DoNotExpireBeforeTheirTime) {
  Deadlines list(loop(), 100ms, Expired);
  Deadline d;
  uint64_t start = NowMillis();
  list.Arm(d, S(0));
  EXPECT_TRUE(TurnUntil([&] { return !expired_.empty(); }));
  EXPECT_GE(NowMillis() - start, 100u);
}

TEST_F(DeadlinesTest, OneThatIsDisarmedNeverExpires) {
  Deadlines list(loop(), 20ms, Expired);
  Deadline d[2];
  list.Arm(d[0], S(0));
  list.Arm(d[1], S(1));
  d[0].Disarm();
  d[0].Disarm();
  EXPECT_FALSE(d[0].armed());
  EXPECT_TRUE(TurnUntil([&] { return !expired_.empty(); }));
  TurnFor(40ms);
  EXPECT_EQ(expired_, (std::vector<size_t>{1}));
}

TEST_F(DeadlinesTest, OneThatIsDestroyedNeverExpires) {
  Deadlines list(loop(), 20ms, Expired);
  auto gone = std::make_unique<Deadline>();
  Deadline stays;
  list.Arm(*gone, S(0));
  list.Arm(stays, S(1));
  gone.reset();
  EXPECT_TRUE(TurnUntil([&] { return !expired_.empty(); }));
  EXPECT_EQ(expired_, (std::vector<size_t>{1}));
}

TEST_F(DeadlinesTest, ArmedAnewTheTimeBeginsAnew) {
  Deadlines list(loop(), 80ms, Expired);
  Deadline d[2];
  list.Arm(d[0], S(0));
  TurnFor(40ms);
  list.Arm(d[1], S(1));
  list.Arm(d[0], S(0));  // now behind the other
  EXPECT_TRUE(TurnUntil([&] { return expired_.size() == 2; }));
  EXPECT_EQ(expired_, (std::vector<size_t>{1, 0}));
}

TEST_F(DeadlinesTest, OneThatIsArmedWithinItsCallbackWaitsItsWholeTime) {
  Deadlines list(loop(), 30ms, Expired);
  Deadline d;
  std::vector<uint64_t> at;
  on_expired = [&](size_t) {
    at.push_back(NowMillis());
    if (at.size() < 4) list.Arm(d, S(0));
  };
  uint64_t start = NowMillis();
  list.Arm(d, S(0));
  EXPECT_TRUE(TurnUntil([&] { return at.size() == 4; }));
  TurnFor(60ms);
  EXPECT_EQ(at.size(), 4u);
  EXPECT_GE(at[3] - start, 4 * 30u);
}

TEST_F(DeadlinesTest, ACallbackMayDisarmAnotherThatIsDueAsWell) {
  Deadlines list(loop(), 20ms, Expired);
  Deadline d[3];
  on_expired = [&](size_t i) {
    expired_.push_back(i);
    d[1].Disarm();
  };
  for (size_t i : {0, 1, 2}) list.Arm(d[i], S(i));
  EXPECT_TRUE(TurnUntil([&] { return expired_.size() == 2; }));
  TurnFor(40ms);
  EXPECT_EQ(expired_, (std::vector<size_t>{0, 2}));
}

TEST_F(DeadlinesTest, ACallbackMayDestroyAnyOfThemItsOwnIncluded) {
  Deadlines list(loop(), 20ms, Expired);
  std::unique_ptr<Deadline> d[3];
  for (auto& one : d) one = std::make_unique<Deadline>();
  on_expired = [&](size_t i) {
    expired_.push_back(i);
    d[i].reset();
    d[2].reset();
  };
  for (size_t i : {0, 1, 2}) list.Arm(*d[i], S(i));
  EXPECT_TRUE(TurnUntil([&] { return expired_.size() == 2; }));
  TurnFor(40ms);
  EXPECT_EQ(expired_, (std::vector<size_t>{0, 1}));
}

TEST_F(DeadlinesTest, ACallbackMayArmAnotherList) {
  Deadlines first(loop(), 10ms, Expired);
  Deadlines second(loop(), 10ms, Expired);
  Deadline d;
  bool moved = false;
  on_expired = [&](size_t i) {
    expired_.push_back(i);
    if (!std::exchange(moved, true)) second.Arm(d, S(1));
  };
  first.Arm(d, S(0));
  EXPECT_TRUE(TurnUntil([&] { return expired_.size() == 2; }));
  EXPECT_EQ(expired_, (std::vector<size_t>{0, 1}));
}

TEST_F(DeadlinesTest, MovesFromOneListToAnother) {
  Deadlines shorter(loop(), 10ms, Expired);
  Deadlines longer(loop(), 80ms, Expired);
  Deadline d, other;
  shorter.Arm(other, S(1));
  shorter.Arm(d, S(0));
  longer.Arm(d, S(2));
  EXPECT_TRUE(TurnUntil([&] { return expired_.size() == 2; }));
  EXPECT_EQ(expired_, (std::vector<size_t>{1, 2}));
}

TEST_F(DeadlinesTest, WithADurationOfZeroNothingIsArmedAndWhatWasIsNotAnyMore) {
  Deadlines off(loop(), 0ms, Expired);
  Deadlines on(loop(), 10ms, Expired);
  Deadline d;
  off.Arm(d, S(0));
  EXPECT_FALSE(d.armed());
  on.Arm(d, S(0));
  off.Arm(d, S(0));
  EXPECT_FALSE(d.armed());
  TurnFor(30ms);
  EXPECT_TRUE(expired_.empty());
}

TEST_F(DeadlinesTest, AShorterTimeHoldsForThoseThatAreThereAndForThoseThatCome) {
  Deadlines list(loop(), 10s, Expired);
  Deadline early, late, next;
  list.Arm(early, S(0));
  list.Arm(late, S(1));
  list.set_duration(20ms);
  list.Arm(next, S(2));
  EXPECT_TRUE(TurnUntil([&] { return expired_.size() == 3; }));
  EXPECT_EQ(expired_, (std::vector<size_t>{0, 1, 2}));
  // A longer one, and none, is for those that come.
  list.Arm(early, S(0));
  list.set_duration(0s);
  list.Arm(late, S(1));
  EXPECT_FALSE(late.armed());
  list.set_duration(10s);
  list.Arm(next, S(2));
  EXPECT_TRUE(TurnUntil([&] { return expired_.size() == 4; }));
  EXPECT_TRUE(next.armed());
}

TEST_F(DeadlinesTest, AListThatIsDestroyedLetsGoOfThem) {
  Deadline d;
  {
    Deadlines list(loop(), 10ms, Expired);
    list.Arm(d, S(0));
  }
  EXPECT_FALSE(d.armed());
  TurnFor(30ms);
  EXPECT_TRUE(expired_.empty());
}

TEST_F(DeadlinesTest, AListThatRanEmptyWorksAgain) {
  Deadlines list(loop(), 10ms, Expired);
  Deadline d;
  for (int i = 0; i < 3; ++i) {
    list.Arm(d, S(0));
    if (i == 1) {  // the timer finds nothing
      d.Disarm();
      TurnFor(30ms);
      list.Arm(d, S(0));
    }
    size_t want = expired_.size() + 1;
    EXPECT_TRUE(TurnUntil([&] { return expired_.size() == want; }));
  }
  EXPECT_EQ(expired_.size(), 3u);
}

TEST_F(DeadlinesTest, LongTimesDoNotWrapAround) {
  Deadlines list(loop(), Millis(10ll * 365 * 24 * 3600 * 1000), Expired);
  Deadline d;
  list.Arm(d, S(0));
  TurnFor(30ms);
  EXPECT_TRUE(d.armed());
  EXPECT_TRUE(expired_.empty());
}

}  // namespace
}  // namespace rum
