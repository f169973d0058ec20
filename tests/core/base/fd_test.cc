#include "base/fd.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <type_traits>
#include <utility>

namespace rum {
namespace {

bool IsOpen(int fd) { return ::fcntl(fd, F_GETFD) >= 0; }
int Null() { return ::open("/dev/null", O_RDONLY | O_CLOEXEC); }

static_assert(!std::is_copy_constructible_v<Fd>);
static_assert(std::is_nothrow_move_constructible_v<Fd>);

TEST(Fd, ClosesWhatItOwns) {
  int number = Null();
  {
    Fd fd(number);
    EXPECT_TRUE(fd);
    EXPECT_EQ(fd.get(), number);
    EXPECT_TRUE(IsOpen(number));
  }
  EXPECT_FALSE(IsOpen(number));
}

TEST(Fd, IsEmptyAtFirst) {
  Fd fd;
  EXPECT_FALSE(fd);
  EXPECT_EQ(fd.get(), -1);
  EXPECT_FALSE(Fd(-1));
}

TEST(Fd, ZeroIsADescriptor) {
  Fd fd(::fcntl(STDIN_FILENO, F_GETFD) >= 0 ? -1 : Null());
  Fd zero(0);
  EXPECT_TRUE(zero);
  EXPECT_EQ(zero.release(), 0);
}

TEST(Fd, MovesWithoutClosing) {
  int number = Null();
  Fd first(number);
  Fd second(std::move(first));
  EXPECT_EQ(first.get(), -1);  // NOLINT: that is what is tested
  EXPECT_EQ(second.get(), number);
  Fd third;
  third = std::move(second);
  EXPECT_EQ(third.get(), number);
  EXPECT_TRUE(IsOpen(number));
}

TEST(Fd, ClosesTheOldOneWhenItTakesANewOne) {
  int old = Null(), fresh = Null();
  Fd fd(old);
  fd = Fd(fresh);
  EXPECT_FALSE(IsOpen(old));
  EXPECT_TRUE(IsOpen(fresh));
  fd.reset();
  EXPECT_FALSE(IsOpen(fresh));
}

TEST(Fd, SurvivesBeingMovedToItself) {
  int number = Null();
  Fd fd(number);
  Fd& same = fd;
  fd = std::move(same);
  EXPECT_EQ(fd.get(), number);
  EXPECT_TRUE(IsOpen(number));
}

TEST(Fd, LetsGoOnRelease) {
  int number = Null();
  {
    Fd fd(number);
    EXPECT_EQ(fd.release(), number);
    EXPECT_FALSE(fd);
  }
  EXPECT_TRUE(IsOpen(number));
  ::close(number);
}

}  // namespace
}  // namespace rum
