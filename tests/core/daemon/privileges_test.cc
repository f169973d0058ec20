// Who the process becomes, and what is given to that user. What only root can do is left out for
// others.
#include "daemon/privileges.h"

#include <errno.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "support/folder.h"

namespace rum {
namespace {

constexpr unsigned kSomebody = 64999, kSomeGroup = 64998;  // numbers without a name

std::string ErrorOf(const std::string& user, const std::string& group) {
  auto found = FindIdentity(user, group);
  return found.ok() ? "" : found.error().text;
}

TEST(FindIdentity, IsNobodyWhenNothingIsAskedFor) {
  auto found = FindIdentity("", "");
  ASSERT_TRUE(found.ok());
  EXPECT_FALSE(found->has_value());
}

TEST(FindIdentity, TakesTheGroupOfAUser) {
  auto found = FindIdentity("root", "");
  ASSERT_TRUE(found.ok()) << found.error().text;
  ASSERT_TRUE(found->has_value());
  EXPECT_EQ((*found)->uid, 0u);
  EXPECT_EQ((*found)->gid, 0u);
  EXPECT_FALSE((*found)->groups.empty());
}

TEST(FindIdentity, StaysTheUserWithAnotherGroup) {
  auto found = FindIdentity("", std::to_string(kSomeGroup));
  ASSERT_TRUE(found.ok()) << found.error().text;
  EXPECT_EQ((*found)->uid, ::geteuid());
  EXPECT_EQ((*found)->gid, kSomeGroup);
  EXPECT_EQ((*found)->groups, std::vector<gid_t>{kSomeGroup});
}

TEST(FindIdentity, TakesNumbersWithoutANameTogetherOnly) {
  auto found = FindIdentity(std::to_string(kSomebody), std::to_string(kSomeGroup));
  ASSERT_TRUE(found.ok()) << found.error().text;
  EXPECT_EQ((*found)->uid, kSomebody);
  EXPECT_EQ((*found)->gid, kSomeGroup);
  EXPECT_NE(ErrorOf(std::to_string(kSomebody), "").find("give one: --user 64999:GROUP"),
            std::string::npos);
}

TEST(FindIdentity, RefusesWhatIsNobody) {
  EXPECT_EQ(ErrorOf("no such user", ""), "--user: there is no user 'no such user'");
  EXPECT_EQ(ErrorOf("root", "no such group"), "--user: there is no group 'no such group'");
  // To the system calls these mean "no change".
  EXPECT_EQ(ErrorOf("4294967295", "0"), "--user: there is no user '4294967295'");
  EXPECT_EQ(ErrorOf("root", "4294967295"), "--user: there is no group '4294967295'");
  EXPECT_EQ(ErrorOf("-1", "0"), "--user: there is no user '-1'");
}

TEST(BecomeDeathTest, LeavesNoWayBack) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can become another user";
  EXPECT_EXIT(
      {
        bool good = Become({kSomebody, kSomeGroup, {kSomeGroup}}).ok();
        good = good && ::getuid() == kSomebody && ::getegid() == kSomeGroup;
        good = good && ::getgroups(0, nullptr) == 1 && ::setuid(0) != 0 && ::setgid(0) != 0;
        ::_exit(good ? 0 : 1);
      },
      testing::ExitedWithCode(0), "");
}

TEST(Become, NeedsRootForAnother) {
  if (::geteuid() == 0) {
    EXPECT_EXIT(
        {
          ::_exit(Become({kSomebody, kSomeGroup, {kSomeGroup}}).ok() &&
                          Become({kSomebody, kSomeGroup, {kSomeGroup}}).ok() &&
                          !Become({kSomebody + 2, kSomeGroup, {kSomeGroup}}).ok()
                      ? 0
                      : 1);
        },
        testing::ExitedWithCode(0), "");
    return;
  }
  EXPECT_TRUE(Become({::geteuid(), ::getegid(), {}}).ok());
  EXPECT_FALSE(Become({::geteuid() + 1, ::getegid(), {}}).ok());
}

class GiveTest : public testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "only root can give a file away";
  }
  std::string Make(const std::string& name) {
    std::ofstream(folder_ / name) << name;
    return folder_ / name;
  }
  static uid_t OwnerOf(const std::string& path) {
    struct stat status = {};
    EXPECT_EQ(::lstat(path.c_str(), &status), 0) << path;
    return status.st_uid;
  }

  test::Folder folder_;
  const Identity somebody_{kSomebody, kSomeGroup, {kSomeGroup}};
};

TEST_F(GiveTest, GivesAFile) {
  std::string file = Make("log");
  GiveTo(somebody_, file);
  EXPECT_EQ(OwnerOf(file), kSomebody);
}

TEST_F(GiveTest, LeavesAloneWhatMayBeATrick) {
  std::string linked = Make("linked");
  ASSERT_EQ(::link(linked.c_str(), (folder_ / "other name").c_str()), 0);
  GiveTo(somebody_, linked);
  EXPECT_EQ(OwnerOf(linked), 0u);

  std::string target = Make("target");
  std::filesystem::create_symlink(target, folder_ / "symlink");
  GiveTo(somebody_, folder_ / "symlink");
  EXPECT_EQ(OwnerOf(target), 0u);
  EXPECT_EQ(OwnerOf(folder_ / "symlink"), 0u);

  std::string foreign = Make("foreign");
  ASSERT_EQ(::chown(foreign.c_str(), kSomebody + 1, kSomeGroup), 0);
  GiveTo(somebody_, foreign);
  EXPECT_EQ(OwnerOf(foreign), kSomebody + 1);

  GiveTo(somebody_, "/dev/null");
  EXPECT_EQ(OwnerOf("/dev/null"), 0u);
}

TEST_F(GiveTest, MakesAFolderAndGivesItWithItsFiles) {
  std::string folder = folder_ / "state";
  GiveFolderTo(somebody_, folder);
  EXPECT_EQ(OwnerOf(folder), kSomebody);
  struct stat status = {};
  ASSERT_EQ(::stat(folder.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0700u);

  std::string next = folder_ / "next";
  std::filesystem::create_directories(next + "/below");
  std::ofstream(next + "/file") << "x";
  GiveFolderTo(somebody_, next);
  EXPECT_EQ(OwnerOf(next), kSomebody);
  EXPECT_EQ(OwnerOf(next + "/file"), kSomebody);
  EXPECT_EQ(OwnerOf(next + "/below"), 0u);
}

TEST(ErrorOfReadingAs, IsThatOfTheOtherUserAndLeavesThisOne) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can find out";
  test::Folder folder;
  ASSERT_EQ(::chmod(folder.path().c_str(), 0755), 0);
  const std::string path = folder / "map";
  std::ofstream(path) << "x";
  const Identity somebody{kSomebody, kSomeGroup, {kSomeGroup}};
  ASSERT_EQ(::chmod(path.c_str(), 0600), 0);
  EXPECT_EQ(ErrorOfReadingAs(somebody, path), EACCES);
  ASSERT_EQ(::chmod(path.c_str(), 0644), 0);
  EXPECT_EQ(ErrorOfReadingAs(somebody, path), 0);
  ASSERT_EQ(::chmod(path.c_str(), 0640), 0);
  ASSERT_EQ(::chown(path.c_str(), 0, kSomeGroup), 0);
  EXPECT_EQ(ErrorOfReadingAs(somebody, path), 0) << "by its group";
  EXPECT_EQ(ErrorOfReadingAs({kSomebody, 0, {0}}, path), EACCES);
  EXPECT_EQ(ErrorOfReadingAs(somebody, folder / "none"), ENOENT);
  EXPECT_EQ(::geteuid(), 0u);
}

}  // namespace
}  // namespace rum
