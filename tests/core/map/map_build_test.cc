// BuildMap: the map it makes, the errors it lists, and that the old map stays until the new one is
// whole.
#include "map/map_build.h"

#include <sys/resource.h>
#include <sys/stat.h>

#include <csignal>

#include "map/map_file.h"
#include "map/map_record.h"
#include "map_test_files.h"

namespace rum {
namespace {

using test::Folder;
using test::MakeUsers;
using test::ReadFile;
using test::WriteFile;

class MapBuildTest : public testing::Test {
 protected:
  Result<MapBuilt> Build(const std::string& text, bool last_wins = false) {
    WriteFile(in_, text);
    MapBuildOptions options;
    options.out = out_;
    options.in = in_;
    options.last_wins = last_wins;
    options.allow_empty = allow_empty_;
    options.progress = progress_;
    problems_.clear();
    return BuildMap(options, &problems_);
  }
  // The destination of a user in the map that was made.
  std::string Destination(const std::string& user) {
    auto map = MapFile::Load(out_);
    std::string_view value;
    if (!map || (*map)->Find(user, &value) != MapFile::Answer::kFound) return "";
    auto record = ParseMapRecord(value);
    return record ? std::string(record->destination) : "";
  }
  mode_t Mode() {
    struct stat st;
    return stat(out_.c_str(), &st) == 0 ? st.st_mode & 07777 : 0;
  }
  // `name:line: ` as the problems begin.
  std::string At(int line) { return in_ + ":" + std::to_string(line) + ": "; }

  Folder folder_;
  const std::string in_ = folder_ / "users.txt";
  const std::string out_ = folder_ / "users.cdb";
  std::vector<std::string> problems_;
  std::function<bool(const char*, uint64_t)> progress_;
  bool allow_empty_ = false;
};

TEST_F(MapBuildTest, MakesAMapOfAllLines) {
  auto built = Build("# users\nalice - tcp:a:1\n\nbob - tcp:b:1,sock:/b\ncarol - tcp:c:1");
  ASSERT_TRUE(built.ok()) << built.error().text;
  EXPECT_EQ(built->users, 3u);
  EXPECT_EQ(built->bytes, std::filesystem::file_size(out_));
  EXPECT_EQ(Destination("alice"), "tcp:a:1");
  EXPECT_EQ(Destination("bob"), "tcp:b:1,sock:/b");
  EXPECT_EQ(Destination("carol"), "tcp:c:1");
  EXPECT_EQ(Mode(), 0640u);
  EXPECT_EQ(folder_.names(), (std::vector<std::string>{"users.cdb", "users.txt"}));
}

TEST_F(MapBuildTest, MakesAnEmptyMapOnlyWhenAsked) {
  const std::string old = MakeUsers("tcp:old:1");
  WriteFile(out_, old);
  for (const char* text : {"", "\n\n", "# alice - tcp:a:1\n"}) {
    auto built = Build(text);
    ASSERT_FALSE(built.ok()) << text;
    EXPECT_EQ(built.error().text, out_ +
                                      ": not written: the input has no user; --allow-empty "
                                      "makes an empty map");
    EXPECT_EQ(built.error().fault, Fault::kConfig);
    EXPECT_EQ(ReadFile(out_), old);
  }
  EXPECT_EQ(Build("bad\n").error().text, out_ + ": not written: the input has 1 error");
  allow_empty_ = true;
  auto built = Build("");
  ASSERT_TRUE(built.ok()) << built.error().text;
  EXPECT_EQ(built->users, 0u);
  auto map = MapFile::Load(out_);
  ASSERT_TRUE(map.ok());
  EXPECT_EQ((*map)->records(), 0u);
}

TEST_F(MapBuildTest, ReplacesNothingThatIsNoMap) {
  std::string text = "alice - tcp:a:1\n", longer;
  for (int i = 0; i < 500; ++i) longer += "user" + std::to_string(i) + " - tcp:a:1\n";
  std::string other(4096, '\0');
  other[0] = 'x';
  for (const std::string& there : {text, longer, other}) {
    WriteFile(out_, there);
    auto built = Build("bob - tcp:b:1\n");
    ASSERT_FALSE(built.ok()) << there.substr(0, 20);
    EXPECT_EQ(built.error().fault, Fault::kUsage);
    EXPECT_EQ(
        built.error().text,
        out_ + ": not written: the existing file is not a map; remove it first to replace it");
    EXPECT_EQ(ReadFile(out_), there);
  }
  EXPECT_EQ(folder_.names(), (std::vector<std::string>{"users.cdb", "users.txt"}));
}

TEST_F(MapBuildTest, ReplacesAMapThatIsBroken) {
  ASSERT_TRUE(Build("alice - tcp:a:1\nbob - tcp:b:1\n").ok());
  const std::string whole = ReadFile(out_);
  std::string damaged = whole;
  damaged[2050] ^= 1;
  for (const std::string& there :
       {whole.substr(0, whole.size() - 1), whole.substr(0, 2048), whole + "x", damaged,
        std::string(2048, '\0') + whole.substr(2048), std::string()}) {
    WriteFile(out_, there);
    EXPECT_FALSE(MapFile::Load(out_).ok());
    ASSERT_TRUE(Build("carol - tcp:c:1\n").ok()) << there.size();
    EXPECT_EQ(Destination("carol"), "tcp:c:1");
  }
}

TEST_F(MapBuildTest, DoesNotReplaceItsInput) {
  WriteFile(in_, "alice - tcp:a:1\n");
  ASSERT_EQ(symlink("users.txt", (folder_ / "link.txt").c_str()), 0);
  MapBuildOptions options;
  options.in = in_;
  for (const std::string& out : {in_, folder_ / "link.txt", folder_ / "./users.txt"}) {
    options.out = out;
    auto built = BuildMap(options, &problems_);
    ASSERT_FALSE(built.ok()) << out;
    EXPECT_EQ(built.error().text, out + ": not written: it is also the input");
    EXPECT_EQ(built.error().fault, Fault::kUsage);
  }
  EXPECT_EQ(ReadFile(in_), "alice - tcp:a:1\n");
}

TEST_F(MapBuildTest, SkipsTheByteOrderMarkOfAnEditor) {
  ASSERT_TRUE(Build("\xef\xbb\xbf"
                    "alice - tcp:a:1\r\n")
                  .ok());
  EXPECT_EQ(Destination("alice"), "tcp:a:1");
}

TEST_F(MapBuildTest, ListsEveryErrorWithItsLineAndKeepsTheOldMap) {
  const std::string old = MakeUsers("tcp:old:1");
  WriteFile(out_, old);
  auto built = Build("alice - tcp:a:1\nbob\n# comment\ncarol - tcp:c\nalice - tcp:d:1\n");
  ASSERT_FALSE(built.ok());
  EXPECT_EQ(built.error().fault, Fault::kMap);
  EXPECT_EQ(built.error().text, out_ + ": not written: the input has 3 errors");
  ASSERT_EQ(problems_.size(), 3u);
  EXPECT_EQ(problems_[0].find(At(2) + "a line has three columns"), 0u) << problems_[0];
  EXPECT_EQ(problems_[1].find(At(4) + "user 'carol' has a bad destination"), 0u) << problems_[1];
  EXPECT_EQ(problems_[2], At(5) + "user 'alice' is also on line 1");
  EXPECT_EQ(ReadFile(out_), old);
  EXPECT_EQ(folder_.names(), (std::vector<std::string>{"users.cdb", "users.txt"}));
}

TEST_F(MapBuildTest, CountsTheErrorsAfterTheTwentieth) {
  std::string text;
  for (int i = 0; i < 25; ++i) text += "bad\n";
  ASSERT_FALSE(Build(text).ok());
  ASSERT_EQ(problems_.size(), 21u);
  EXPECT_EQ(problems_[19].find(At(20)), 0u);
  EXPECT_EQ(problems_[20], in_ + ": and 5 more");
}

TEST_F(MapBuildTest, FindsEveryUserThatIsThereTwice) {
  std::string text;
  for (int i = 0; i < 3000; ++i) text += "u" + std::to_string(i) + " - tcp:a:1\n";
  text += "u0 - tcp:a:1\nu1500 - tcp:b:1\nu2999 - tcp:a:1\nu0 - tcp:c:1\n";
  ASSERT_FALSE(Build(text).ok());
  EXPECT_EQ(problems_, (std::vector{At(3001) + "user 'u0' is also on line 1",
                                    At(3002) + "user 'u1500' is also on line 1501",
                                    At(3003) + "user 'u2999' is also on line 3000",
                                    At(3004) + "user 'u0' is also on line 1"}));
}

TEST_F(MapBuildTest, LetsTheLastLineWinWhenAsked) {
  std::string text;
  for (int round = 0; round < 3; ++round) {
    for (int i = round; i < 1000; ++i) {
      text += "u" + std::to_string(i) + " - tcp:round" + std::to_string(round) + ":1\n";
    }
  }
  auto built = Build(text, true);
  ASSERT_TRUE(built.ok()) << built.error().text;
  EXPECT_EQ(built->users, 1000u);
  EXPECT_EQ(built->dropped, 999u + 998u);
  EXPECT_EQ(Destination("u0"), "tcp:round0:1");
  EXPECT_EQ(Destination("u1"), "tcp:round1:1");
  for (int i = 2; i < 1000; i += 37)
    EXPECT_EQ(Destination("u" + std::to_string(i)), "tcp:round2:1");
  auto map = MapFile::Load(out_);
  ASSERT_TRUE(map.ok());
  EXPECT_EQ((*map)->duplicates(), 0u);
  EXPECT_EQ(folder_.names(), (std::vector<std::string>{"users.cdb", "users.txt"}));
}

TEST_F(MapBuildTest, RefusesBadLinesEvenWhenTheLastWins) {
  ASSERT_FALSE(Build("alice - tcp:a:1\nalice - tcp:b:1\nbob - nonsense\n", true).ok());
  EXPECT_EQ(problems_.size(), 1u);
  EXPECT_FALSE(std::filesystem::exists(out_));
}

TEST_F(MapBuildTest, KeepsTheModeOfTheMapThatItReplaces) {
  WriteFile(out_, MakeUsers("tcp:old:1"));
  ASSERT_EQ(chmod(out_.c_str(), 0604), 0);
  ASSERT_TRUE(Build("alice - tcp:a:1\n").ok());
  EXPECT_EQ(Mode(), 0604u);
}

TEST_F(MapBuildTest, KeepsTheOwnerOfTheMapThatItReplaces) {
  if (geteuid() != 0) GTEST_SKIP() << "only root gives files away";
  WriteFile(out_, MakeUsers("tcp:old:1"));
  ASSERT_EQ(chown(out_.c_str(), 65534, 65533), 0);
  ASSERT_TRUE(Build("alice - tcp:a:1\n").ok());
  struct stat st;
  ASSERT_EQ(stat(out_.c_str(), &st), 0);
  EXPECT_EQ(st.st_uid, 65534u);
  EXPECT_EQ(st.st_gid, 65533u);
}

TEST_F(MapBuildTest, ReplacesTheFileThatALinkLeadsTo) {
  WriteFile(folder_ / "real.cdb", MakeUsers("tcp:old:1"));
  ASSERT_EQ(symlink("real.cdb", out_.c_str()), 0);
  ASSERT_TRUE(Build("alice - tcp:a:1\n").ok());
  EXPECT_TRUE(std::filesystem::is_symlink(out_));
  EXPECT_TRUE(MapFile::Load(folder_ / "real.cdb").ok());
}

TEST_F(MapBuildTest, KeepsTheOldMapWhenTheDiskIsFull) {
  const std::string old = MakeUsers("tcp:old:1");
  WriteFile(out_, old);
  std::string text;
  for (int i = 0; i < 20000; ++i) text += "u" + std::to_string(i) + " - tcp:a:1\n";
  WriteFile(in_, text);
  auto* handler = std::signal(SIGXFSZ, SIG_IGN);
  rlimit before, small;
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  MapBuildOptions options;
  options.out = out_;
  options.in = in_;
  // The first stops while records are written, the second while tables are.
  for (rlim_t size : {100000u, 600000u}) {
    small = before;
    small.rlim_cur = size;
    ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
    auto built = BuildMap(options, &problems_);
    ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
    ASSERT_FALSE(built.ok());
    EXPECT_EQ(built.error().text, out_ + ": File too large");
    EXPECT_EQ(built.error().fault, Fault::kSystem);
  }
  std::signal(SIGXFSZ, handler);
  EXPECT_EQ(ReadFile(out_), old);
  EXPECT_EQ(folder_.names(), (std::vector<std::string>{"users.cdb", "users.txt"}));
}

TEST_F(MapBuildTest, LeavesNothingBehindWhenItIsGivenUp) {
  std::string text;
  for (int i = 0; i < 200000; ++i) text += "u" + std::to_string(i) + " - tcp:a:1\n";
  for (const char* step : {"reading, lines", "verifying, MiB"}) {
    progress_ = [step](const char* doing, uint64_t) { return std::string(doing) != step; };
    auto built = Build(text);
    ASSERT_FALSE(built.ok()) << step;
    EXPECT_EQ(folder_.names(), (std::vector<std::string>{"users.txt"})) << step;
  }
}

// The writer of a pipe may have been interrupted with us: what it wrote is cut, and no map.
TEST_F(MapBuildTest, KeepsTheOldMapWhenAShortTextIsGivenUp) {
  ASSERT_TRUE(Build("old - tcp:old:1\n").ok());
  const std::string old = ReadFile(out_);
  progress_ = [](const char*, uint64_t) { return false; };
  EXPECT_EQ(Build("").error().text, out_ + ": not written: interrupted");
  EXPECT_EQ(ReadFile(out_), old);
  for (const char* step : {"reading, lines", "verifying, MiB", "writing, users"}) {
    progress_ = [step](const char* doing, uint64_t) { return std::string(doing) != step; };
    auto built = Build("alice - tcp:a:1\nalice - tcp:b:1\n", true);
    ASSERT_FALSE(built.ok()) << step;
    EXPECT_EQ(built.error().text, out_ + ": not written: interrupted");
    EXPECT_EQ(built.error().fault, Fault::kSystem);
    EXPECT_EQ(ReadFile(out_), old) << step;
    EXPECT_EQ(folder_.names(), (std::vector<std::string>{"users.cdb", "users.txt"})) << step;
  }
}

TEST_F(MapBuildTest, SaysWhyAFileCannotBeReadOrWritten) {
  MapBuildOptions options;
  options.out = out_;
  options.in = folder_ / "none.txt";
  EXPECT_EQ(BuildMap(options, &problems_).error().text, options.in + ": No such file or directory");
  WriteFile(in_, "alice - tcp:a:1\n");
  options.in = in_;
  options.out = folder_ / "none/users.cdb";
  EXPECT_EQ(BuildMap(options, &problems_).error().text,
            (folder_ / "none") + ": cannot create a file here: No such file or directory");
  options.out = "/dev/null";
  EXPECT_EQ(BuildMap(options, &problems_).error().text,
            "/dev/null: exists and is not a regular file");
}

}  // namespace
}  // namespace rum
