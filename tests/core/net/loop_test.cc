#include "net/loop.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "base/clock.h"

namespace rum {
namespace {

using std::chrono::milliseconds;
using namespace std::chrono_literals;

struct Told {
  uint32_t which, what;
};

class Ears : public Loop::Watcher {
 public:
  std::vector<Told> told;
  std::function<void()> then;

 private:
  void OnReady(uint32_t which, uint32_t what) override {
    told.push_back({which, what});
    if (then) then();
  }
};

struct Pair {
  Pair() {
    int ends[2];
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends), 0);
    near.reset(ends[0]);
    far.reset(ends[1]);
  }
  void Say(const char* text = "x") { EXPECT_GT(::write(far.get(), text, std::strlen(text)), 0); }
  Fd near, far;
};

TEST(Loop, TellsOfEachSocketWhatItHas) {
  Loop loop;
  Ears ears;
  Pair a, b;
  ASSERT_TRUE(loop.Watch(a.near.get(), EPOLLIN, ears, 7));
  ASSERT_TRUE(loop.Watch(b.near.get(), EPOLLIN | EPOLLRDHUP, ears, 8));
  loop.Turn(0ms);
  EXPECT_TRUE(ears.told.empty());
  a.Say();
  b.far.reset();
  loop.Turn(0ms);
  ASSERT_EQ(ears.told.size(), 2u);
  EXPECT_EQ(ears.told[0].which, 7u);
  EXPECT_EQ(ears.told[0].what, uint32_t{EPOLLIN});
  EXPECT_EQ(ears.told[1].which, 8u);
  EXPECT_EQ(ears.told[1].what, uint32_t{EPOLLIN | EPOLLRDHUP | EPOLLHUP});
}

TEST(Loop, TellsAnEdgeOnceAndALevelAgain) {
  Loop loop;
  Ears edge, level;
  Pair a, b;
  ASSERT_TRUE(loop.Watch(a.near.get(), EPOLLIN | EPOLLET, edge, 0));
  ASSERT_TRUE(loop.Watch(b.near.get(), EPOLLIN, level, 0));
  a.Say();
  b.Say();
  for (int i = 0; i < 3; ++i) loop.Turn(0ms);
  EXPECT_EQ(edge.told.size(), 1u);
  EXPECT_EQ(level.told.size(), 3u);
}

TEST(Loop, WhatIsForgottenIsNotToldThoughItWasReady) {
  Loop loop;
  Ears ears;
  Pair a, b;
  Loop::Ticket tickets[] = {loop.Watch(a.near.get(), EPOLLIN, ears, 0),
                            loop.Watch(b.near.get(), EPOLLIN, ears, 1)};
  a.Say();
  b.Say();
  // Whoever comes first in the turn has the other one forgotten and closed.
  ears.then = [&] {
    uint32_t other = 1 - ears.told.back().which;
    loop.Forget(tickets[other]);
    (other == 0 ? a : b).near.reset();
  };
  loop.Turn(0ms);
  EXPECT_EQ(ears.told.size(), 1u);
}

TEST(Loop, ASocketWithTheSameNumberIsAnotherOne) {
  Loop loop;
  Ears old_ears, ears;
  Pair a;
  const int number = a.near.get();
  Loop::Ticket ticket = loop.Watch(number, EPOLLIN, old_ears, 0);
  a.Say();
  loop.Forget(ticket);
  a.near.reset();
  Pair b;
  if (b.near.get() != number) {
    ASSERT_EQ(::dup2(b.near.get(), number), number);
    b.near.reset(number);
  }
  ASSERT_TRUE(loop.Watch(number, EPOLLIN, ears, 0));
  loop.Turn(0ms);
  EXPECT_TRUE(ears.told.empty());
  b.Say();
  loop.Turn(0ms);
  EXPECT_EQ(ears.told.size(), 1u);
  EXPECT_TRUE(old_ears.told.empty());
}

// As in the moment between fork(2) and exec(2): a child has all descriptors, so that the kernel
// does not forget what the parent closes.
TEST(Loop, ASocketThatIsOpenElsewhereIsNotToldAfterItWasClosedHere) {
  Loop loop;
  Ears ears;
  Pair a;
  Fd elsewhere(::dup(a.near.get()));
  Loop::Ticket ticket = loop.Watch(a.near.get(), EPOLLIN | EPOLLET, ears, 0);
  loop.Forget(ticket);
  a.near.reset();
  Pair b;
  Loop::Ticket again = loop.Watch(b.near.get(), EPOLLIN | EPOLLET, ears, 1);
  EXPECT_EQ(again, ticket) << "the slot is used again";
  a.Say();
  loop.Turn(0ms);
  EXPECT_TRUE(ears.told.empty());
  b.Say();
  loop.Turn(0ms);
  ASSERT_EQ(ears.told.size(), 1u);
  EXPECT_EQ(ears.told[0].which, 1u);
}

TEST(Loop, WhatIsUnwatchedMayBeWatchedAgain) {
  Loop loop;
  Ears ears;
  Pair a;
  a.Say();
  for (int i = 0; i < 3; ++i) {
    Loop::Ticket ticket = loop.Watch(a.near.get(), EPOLLIN, ears, 0);
    ASSERT_TRUE(ticket);
    loop.Turn(0ms);
    loop.Unwatch(ticket, a.near.get());
    loop.Turn(0ms);
  }
  EXPECT_EQ(ears.told.size(), 3u);
}

TEST(Loop, WhatCannotBeWatchedIsRefused) {
  Loop loop;
  Ears ears;
  Fd file(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  EXPECT_EQ(loop.Watch(file.get(), EPOLLIN, ears, 0), 0u);
  EXPECT_EQ(loop.Watch(-1, EPOLLIN, ears, 0), 0u);
  Pair a;
  EXPECT_NE(loop.Watch(a.near.get(), EPOLLIN, ears, 0), 0u);
}

TEST(Loop, ManySocketsAreAllTold) {
  Loop loop;
  Ears ears;
  std::vector<Pair> pairs(400);  // more than one turn tells
  for (size_t i = 0; i < pairs.size(); ++i) {
    ASSERT_TRUE(loop.Watch(pairs[i].near.get(), EPOLLIN | EPOLLET, ears, static_cast<uint32_t>(i)));
    pairs[i].Say();
  }
  for (int i = 0; i < 5; ++i) loop.Turn(0ms);
  std::vector<int> told(pairs.size());
  for (const Told& one : ears.told) ++told[one.which];
  EXPECT_EQ(told, std::vector<int>(pairs.size(), 1));
}

class Clocks : public testing::Test {
 protected:
  struct Alarm {
    Alarm(Loop& loop, std::string name, std::vector<std::string>& rung)
        : timer(loop, Ring, this), name(std::move(name)), rung(rung) {}
    static void Ring(void* self) {
      auto& alarm = *static_cast<Alarm*>(self);
      alarm.rung.push_back(alarm.name);
      if (alarm.then) alarm.then();
    }
    Loop::Timer timer;
    std::string name;
    std::vector<std::string>& rung;
    std::function<void()> then;
  };
  // Turns until nothing more can ring.
  void TurnFor(milliseconds time) {
    const uint64_t end = NowMicros() + static_cast<uint64_t>(time.count()) * 1000;
    while (NowMicros() < end) loop_.Turn(1ms);
  }

  Loop loop_;
  std::vector<std::string> rung_;
  Alarm a_{loop_, "a", rung_}, b_{loop_, "b", rung_}, c_{loop_, "c", rung_};
};

using Rung = std::vector<std::string>;

TEST_F(Clocks, RingInTheOrderOfTheirTimesAndOnce) {
  a_.timer.Set(30ms);
  b_.timer.Set(10ms);
  c_.timer.Set(20ms);
  TurnFor(60ms);
  EXPECT_EQ(rung_, (Rung{"b", "c", "a"}));
}

TEST_F(Clocks, DoNotRingBeforeTheirTime) {
  const uint64_t began = NowMicros();
  a_.timer.Set(25ms);
  while (rung_.empty() && NowMicros() - began < 5000000) loop_.Turn(1000ms);
  EXPECT_GE(NowMicros() - began, 25000u);
  EXPECT_EQ(rung_, Rung{"a"}) << "the turn ended in time for it";
}

TEST_F(Clocks, SetAnewOnlyTheLastTimeCounts) {
  a_.timer.Set(5ms);
  a_.timer.Set(30ms);
  b_.timer.Set(15ms);
  TurnFor(50ms);
  EXPECT_EQ(rung_, (Rung{"b", "a"}));
}

TEST_F(Clocks, WhatIsCancelledOrGoneDoesNotRing) {
  a_.timer.Set(5ms);
  a_.timer.Cancel();
  a_.timer.Cancel();
  {
    Alarm gone(loop_, "gone", rung_);
    gone.timer.Set(5ms);
  }
  TurnFor(20ms);
  EXPECT_EQ(rung_, Rung{});
}

TEST_F(Clocks, MayCancelEachOtherAndThemselves) {
  a_.then = [&] { b_.timer.Cancel(), a_.timer.Cancel(); };
  a_.timer.Set(5ms);
  b_.timer.Set(5ms);
  c_.timer.Set(5ms);
  TurnFor(20ms);
  EXPECT_EQ(rung_, (Rung{"a", "c"}));
}

TEST_F(Clocks, OneThatIsSetInATurnRingsInALaterOneHoweverShortItsTime) {
  a_.then = [&] {
    if (rung_.size() == 1) a_.timer.Set(0ms), b_.timer.Set(0ms);
  };
  a_.timer.Set(0ms);
  loop_.Turn(1000ms);
  EXPECT_EQ(rung_, Rung{"a"});
  TurnFor(10ms);
  EXPECT_EQ(rung_, (Rung{"a", "a", "b"}));
}

TEST_F(Clocks, RingBehindWhatTheSocketsHave) {
  Ears ears;
  Pair pair;
  ASSERT_TRUE(loop_.Watch(pair.near.get(), EPOLLIN | EPOLLET, ears, 0));
  ears.then = [&] { rung_.push_back("socket"); };
  a_.timer.Set(0ms);
  pair.Say();
  loop_.Turn(1000ms);
  EXPECT_EQ(rung_, (Rung{"socket", "a"}));
}

}  // namespace
}  // namespace rum
