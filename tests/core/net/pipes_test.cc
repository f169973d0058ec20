#include "net/pipes.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <memory>
#include <vector>

#include "support/folder.h"

namespace rum {
namespace {

TEST(Pipes, LendsAPipeThatCarriesBytesAndNeverBlocks) {
  PipeBudget budget;
  Pipes pipes(budget);
  auto pipe = pipes.Borrow();
  ASSERT_TRUE(pipe);
  EXPECT_EQ(::write(pipe->in.get(), "abc", 3), 3);
  char bytes[8];
  EXPECT_EQ(::read(pipe->out.get(), bytes, sizeof bytes), 3);
  EXPECT_EQ(::read(pipe->out.get(), bytes, sizeof bytes), -1);
  EXPECT_EQ(errno, EAGAIN);
  for (int fd : {pipe->in.get(), pipe->out.get()}) {
    EXPECT_TRUE(::fcntl(fd, F_GETFD) & FD_CLOEXEC);
  }
  pipes.GiveBack(std::move(pipe));
}

TEST(Pipes, LendsAgainWhatWasGivenBack) {
  PipeBudget budget;
  Pipes pipes(budget);
  auto pipe = pipes.Borrow();
  int fd = pipe->in.get();
  pipes.GiveBack(std::move(pipe));
  auto again = pipes.Borrow();
  EXPECT_EQ(again->in.get(), fd);
  pipes.GiveBack(std::move(again));
}

TEST(Pipes, KeepsSixteenSpareAndClosesTheOthers) {
  size_t before = test::OpenDescriptors();
  {
    PipeBudget budget;
    Pipes pipes(budget);
    std::vector<std::unique_ptr<Pipe>> lent;
    for (int i = 0; i < 40; ++i) lent.push_back(pipes.Borrow());
    EXPECT_EQ(test::OpenDescriptors(), before + 80);
    for (auto& pipe : lent) pipes.GiveBack(std::move(pipe));
    EXPECT_EQ(test::OpenDescriptors(), before + 32);
  }
  EXPECT_EQ(test::OpenDescriptors(), before);
}

TEST(Pipes, LendsAtMost256AtOnce) {
  PipeBudget budget;
  Pipes pipes(budget);
  std::vector<std::unique_ptr<Pipe>> lent;
  while (auto pipe = pipes.Borrow()) {
    lent.push_back(std::move(pipe));
    ASSERT_LE(lent.size(), 256u);
  }
  EXPECT_EQ(lent.size(), 256u);
  // One that was destroyed by its borrower, because bytes were in it, can be lent anew.
  lent.pop_back();
  pipes.Lost();
  EXPECT_TRUE(pipes.Borrow());
}

TEST(Pipes, OfAllWorkersTogetherAreNoMoreThanTheBudget) {
  PipeBudget budget;
  budget.set_most(3);
  Pipes one(budget), other(budget);
  auto first = one.Borrow(), second = one.Borrow(), third = other.Borrow();
  ASSERT_TRUE(first && second && third);
  EXPECT_FALSE(one.Borrow());
  EXPECT_FALSE(other.Borrow());
  // One that is spare for its worker is open: the other gets none by that.
  other.GiveBack(std::move(third));
  EXPECT_FALSE(one.Borrow());
  third = other.Borrow();
  EXPECT_TRUE(third);
  // With a smaller budget what is given back is closed, and so is what is lost.
  const size_t before = test::OpenDescriptors();
  budget.set_most(2);
  other.GiveBack(std::move(third));
  EXPECT_EQ(test::OpenDescriptors(), before - 2);
  EXPECT_FALSE(other.Borrow());
  second.reset();
  one.Lost();
  EXPECT_TRUE(other.Borrow());
}

TEST(Pipes, WithoutDescriptorsThereIsNoneAndLaterThereIs) {
  PipeBudget budget;
  Pipes pipes(budget);
  rlimit old;
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &old), 0);
  rlimit none = old;
  none.rlim_cur = 3;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  auto nothing = pipes.Borrow();
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &old), 0);
  EXPECT_FALSE(nothing);
  auto pipe = pipes.Borrow();
  EXPECT_TRUE(pipe);
  pipes.GiveBack(std::move(pipe));
}

}  // namespace
}  // namespace rum
