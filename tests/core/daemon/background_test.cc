// Processes that go to the background, and files with a process id.
#include "daemon/background.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "support/folder.h"

namespace rum {
namespace {

using testing::ExitedWithCode;

// Each statement runs in a process of its own, which is the one that Enter() ends; what comes
// behind Enter() is the one in the background.
TEST(BackgroundDeathTest, TheCallerEndsWellWhenTheOtherIsReady) {
  EXPECT_EXIT(
      {
        Background background;
        if (!background.Enter()) ::_exit(99);
        background.Ready();
        ::_exit(7);
      },
      ExitedWithCode(0), "^$");
}

TEST(BackgroundDeathTest, TheCallerEndsWithWhatTheOtherSays) {
  EXPECT_EXIT(
      {
        Background background;
        if (!background.Enter()) ::_exit(99);
        background.Failed(4, "rum: there is no map\n");
        ::_exit(0);
      },
      ExitedWithCode(4), "^rum: there is no map\n$");
}

TEST(BackgroundDeathTest, TheCallerFailsWhenTheOtherDiesBeforeItIsReady) {
  EXPECT_EXIT(
      {
        Background background;
        if (!background.Enter()) ::_exit(99);
        ::_exit(0);
      },
      ExitedWithCode(static_cast<int>(Fault::kSystem)), "ended before it was ready");
}

TEST(Background, ReportsOnceToAProcessThatHandsOver) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  Fd report(ends[0]);
  Background background;
  EXPECT_FALSE(background.reports());
  background.ReportTo(Fd(ends[1]));
  EXPECT_TRUE(background.reports());
  background.Ready();
  EXPECT_FALSE(background.reports());
  background.Failed(1, "too late");
  char bytes[64];
  EXPECT_EQ(::read(report.get(), bytes, sizeof bytes), 1);
  EXPECT_EQ(bytes[0], 0);
  EXPECT_EQ(::read(report.get(), bytes, sizeof bytes), 0);
}

class PidfileTest : public testing::Test {
 protected:
  static void Put(const std::string& path, const std::string& text) {
    std::ofstream(path, std::ios::trunc) << text;
  }

  test::Folder folder_;
  const std::string path_ = folder_ / "rum.pid";
  const std::string own_ = std::to_string(::getpid()) + "\n";
};

TEST_F(PidfileTest, IsNotWrittenWithoutAPath) {
  auto file = Pidfile::Write("");
  ASSERT_TRUE(file.ok());
  EXPECT_EQ(file->lock(), -1);
}

TEST_F(PidfileTest, HasTheProcessIdAndGoesInTheEnd) {
  {
    auto file = Pidfile::Write(path_);
    ASSERT_TRUE(file.ok()) << file.error().text;
    EXPECT_EQ(test::Contents(path_), own_);
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder_.path()));
}

TEST_F(PidfileTest, TakesOneThatIsLeftOver) {
  Put(path_, "999999999 of a process that ended without a word\n");
  auto file = Pidfile::Write(path_);
  ASSERT_TRUE(file.ok()) << file.error().text;
  EXPECT_EQ(test::Contents(path_), own_);
}

TEST_F(PidfileTest, BelongsToOneProcess) {
  auto file = Pidfile::Write(path_);
  ASSERT_TRUE(file.ok()) << file.error().text;
  auto other = Pidfile::Write(path_);
  ASSERT_FALSE(other.ok());
  EXPECT_NE(other.error().text.find("'" + path_ + "' belongs to another process"),
            std::string::npos)
      << other.error().text;
  EXPECT_EQ(test::Contents(path_), own_);
}

TEST_F(PidfileTest, GoesOverToAProcessThatGetsTheLock) {
  auto file = Pidfile::Write(path_);
  ASSERT_TRUE(file.ok()) << file.error().text;
  auto next = Pidfile::Write(path_, Fd(::fcntl(file->lock(), F_DUPFD_CLOEXEC, 0)));
  EXPECT_TRUE(next.ok()) << next.error().text;
}

TEST_F(PidfileTest, LeavesWhatAnotherProcessHasWritten) {
  {
    auto file = Pidfile::Write(path_);
    ASSERT_TRUE(file.ok()) << file.error().text;
    Put(path_, "1\n");
  }
  EXPECT_EQ(test::Contents(path_), "1\n");
}

TEST_F(PidfileTest, IsWrittenAgainWhenAHandOverHasFailed) {
  auto file = Pidfile::Write(path_);
  ASSERT_TRUE(file.ok()) << file.error().text;
  Put(path_, "1\n");
  file->Restore();
  EXPECT_EQ(test::Contents(path_), own_);
  ::unlink(path_.c_str());
  file->Restore();
  EXPECT_EQ(test::Contents(path_), own_);
}

TEST_F(PidfileTest, IsNotWrittenThroughALink) {
  Put(folder_ / "precious", "kept");
  std::filesystem::create_symlink(folder_ / "precious", path_);
  auto file = Pidfile::Write(path_);
  ASSERT_FALSE(file.ok());
  EXPECT_NE(file.error().text.find(path_), std::string::npos) << file.error().text;
  EXPECT_EQ(test::Contents(folder_ / "precious"), "kept");
}

}  // namespace
}  // namespace rum
