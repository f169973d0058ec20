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
  Pipes pipes;
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
  Pipes pipes;
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
    Pipes pipes;
    std::vector<std::unique_ptr<Pipe>> lent;
    for (int i = 0; i < 40; ++i) lent.push_back(pipes.Borrow());
    EXPECT_EQ(test::OpenDescriptors(), before + 80);
    for (auto& pipe : lent) pipes.GiveBack(std::move(pipe));
    EXPECT_EQ(test::OpenDescriptors(), before + 32);
  }
  EXPECT_EQ(test::OpenDescriptors(), before);
}

TEST(Pipes, LendsAtMost256AtOnce) {
  Pipes pipes;
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

TEST(Pipes, WithoutDescriptorsThereIsNoneAndLaterThereIs) {
  Pipes pipes;
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
