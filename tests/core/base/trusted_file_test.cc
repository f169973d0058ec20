#include "base/trusted_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>

#include "support/folder.h"

namespace rum {
namespace {

using test::Contents;
using test::Folder;

constexpr int kFlags = O_WRONLY | O_CREAT | O_APPEND;
constexpr uid_t kOther = 4242;

class TrustedFile : public testing::Test {
 protected:
  // A folder that belongs to another user, and one that everybody may write to.
  void SetUp() override {
    ASSERT_EQ(::mkdir(theirs_.c_str(), 0755), 0);
    ASSERT_EQ(::mkdir(all_.c_str(), 0777), 0);
    ASSERT_EQ(::chmod(all_.c_str(), 01777), 0);
    root_ = ::geteuid() == 0;
    if (root_) {
      ASSERT_EQ(::chown(theirs_.c_str(), kOther, kOther), 0);
    }
  }
  void Link(const std::string& path, const std::string& target, uid_t owner = ::geteuid()) {
    ASSERT_EQ(::symlink(target.c_str(), path.c_str()), 0);
    if (owner != ::geteuid()) {
      ASSERT_EQ(::lchown(path.c_str(), owner, owner), 0);
    }
  }
  void File(const std::string& path, uid_t owner = ::geteuid()) {
    Fd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
    ASSERT_TRUE(fd);
    if (owner != ::geteuid()) {
      ASSERT_EQ(::fchown(fd.get(), owner, owner), 0);
    }
  }
  static std::string Why(const std::string& path) {
    auto fd = OpenTrusted(path, kFlags, 0640);
    return fd ? "" : fd.error().text;
  }

  bool root_ = false;
  Folder folder_;
  const std::string theirs_ = folder_ / "theirs", all_ = folder_ / "all";
};

TEST_F(TrustedFile, MakesAFileAndFollowsItsOwnLinkToAnyFolder) {
  auto fd = OpenTrusted(folder_ / "new", kFlags, 0640);
  ASSERT_TRUE(fd.ok()) << fd.error().text;
  EXPECT_EQ(::fcntl(fd->get(), F_GETFL) & O_NONBLOCK, 0);
  EXPECT_EQ(::fcntl(fd->get(), F_GETFD), FD_CLOEXEC);
  Link(folder_ / "link", "second");  // relative to its folder
  Link(folder_ / "second", folder_ / "target");
  auto through = OpenTrusted(folder_ / "link", kFlags, 0640);
  ASSERT_TRUE(through.ok()) << through.error().text;
  ASSERT_EQ(::write(through->get(), "x", 1), 1);
  EXPECT_EQ(Contents(folder_ / "target"), "x");
  EXPECT_FALSE(OpenTrusted(folder_ / "link", kFlags | O_NOFOLLOW, 0640).ok()) << "if asked";
  EXPECT_EQ(Why("/dev/null"), "");
  EXPECT_EQ(Why("/dev/stderr"), "") << "a link to an open file";
}

TEST_F(TrustedFile, AMistakeIsToldAndNothingHangs) {
  EXPECT_EQ(Why(folder_ / "none/file"), "No such file or directory");
  Link(folder_ / "a", folder_ / "b");
  Link(folder_ / "b", folder_ / "a");
  EXPECT_EQ(Why(folder_ / "a"), "Too many levels of symbolic links");
  ASSERT_EQ(::mkfifo((folder_ / "pipe").c_str(), 0600), 0);
  EXPECT_EQ(Why(folder_ / "pipe"), "no process reads from this pipe");
}

TEST_F(TrustedFile, ALinkWhereEverybodyMayWriteIsNotFollowed) {
  Link(all_ + "/link", folder_ / "target");
  EXPECT_NE(Why(all_ + "/link").find("is a symbolic link"), std::string::npos);
  EXPECT_NE(::access((folder_ / "target").c_str(), F_OK), 0) << "nothing is made";
  EXPECT_EQ(Why(all_ + "/file"), "") << "a file of one's own is good there";
  EXPECT_EQ(Why(all_ + "/file"), "");
}

TEST_F(TrustedFile, AnotherUsersLinksAndFilesAreNotUsed) {
  if (!root_) GTEST_SKIP() << "needs root";
  File(folder_ / "secret");
  Link(theirs_ + "/link", folder_ / "secret", kOther);
  EXPECT_NE(Why(theirs_ + "/link").find("is a symbolic link"), std::string::npos);
  Link(folder_ / "link", theirs_ + "/link");
  EXPECT_NE(Why(folder_ / "link").find("theirs/link' is a symbolic link"), std::string::npos)
      << "by way of a good one";
  File(all_ + "/file", kOther);
  EXPECT_NE(Why(all_ + "/file").find("belongs to another user"), std::string::npos);
  ASSERT_EQ(::link((folder_ / "secret").c_str(), (theirs_ + "/hard").c_str()), 0);
  EXPECT_NE(Why(theirs_ + "/hard").find("has another hard link"), std::string::npos);
  // The log of a rum that has given up root, in its own folder.
  File(theirs_ + "/rum.log", kOther);
  EXPECT_EQ(Why(theirs_ + "/rum.log"), "");
  // In a folder of root's only root can have given it away.
  File(folder_ / "given", kOther);
  EXPECT_EQ(Why(folder_ / "given"), "");
}

TEST_F(TrustedFile, AFolderIsTrustedThatNobodyElseCanWriteTo) {
  EXPECT_TRUE(TrustedFolder(folder_ / "none", ::geteuid()));
  EXPECT_FALSE(TrustedFolder(all_, ::geteuid()));
  ASSERT_EQ(::mkdir((folder_ / "mine").c_str(), 0700), 0);
  EXPECT_TRUE(TrustedFolder(folder_ / "mine", ::geteuid()));
  if (!root_) return;
  EXPECT_FALSE(TrustedFolder(theirs_, 0));
  EXPECT_TRUE(TrustedFolder(theirs_, kOther)) << "who rum is to become";
  Link(folder_ / "link", folder_ / "mine", kOther);
  EXPECT_FALSE(TrustedFolder(folder_ / "link", 0));
}

}  // namespace
}  // namespace rum
