// The journal as files: what a reader sees of the changes beside a CDB, when several write, when
// one is killed between any two steps, and when files arrive in another order.
#include "map/journal_writer.h"

#include <dlfcn.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <atomic>
#include <fstream>
#include <map>

#include "map/map_build.h"
#include "map/map_destinations.h"
#include "map/map_file.h"
#include "map/map_record.h"
#include "map_test_files.h"

namespace {

// System calls that change files until this process kills itself; 0: never.
std::atomic<int> g_calls_left = 0;

void CountCall() {
  if (g_calls_left > 0 && --g_calls_left == 0) kill(getpid(), SIGKILL);
}

template <class F>
F Real(const char* name) {
  return reinterpret_cast<F>(dlsym(RTLD_NEXT, name));
}

}  // namespace

extern "C" {
int rename(const char* from, const char* to) noexcept {
  CountCall();
  int result = Real<int (*)(const char*, const char*)>("rename")(from, to);
  CountCall();
  return result;
}
ssize_t pwrite(int fd, const void* bytes, size_t size, off_t at) {
  CountCall();
  return Real<ssize_t (*)(int, const void*, size_t, off_t)>("pwrite")(fd, bytes, size, at);
}
int fdatasync(int fd) {
  CountCall();
  return Real<int (*)(int)>("fdatasync")(fd);
}
int fsync(int fd) {
  CountCall();
  return Real<int (*)(int)>("fsync")(fd);
}
int ftruncate(int fd, off_t size) noexcept {
  CountCall();
  return Real<int (*)(int, off_t)>("ftruncate")(fd, size);
}
}

namespace rum {
namespace {

using test::Folder;
using test::ReadFile;
using test::WriteFile;

std::string Value(const std::string& destination) { return FormatMapRecord({"", destination, ""}); }

class JournalTest : public testing::Test {
 protected:
  void Build(const std::string& text) {
    WriteFile(folder_ / "users.txt", text);
    std::vector<std::string> problems;
    MapBuildOptions options;
    options.out = map_;
    options.in = folder_ / "users.txt";
    auto built = BuildMap(options, &problems);
    ASSERT_TRUE(built.ok()) << built.error().text;
  }
  Status Fold() const {
    std::vector<std::string> problems;
    MapBuildOptions options;
    options.out = map_;
    options.fold = true;
    auto built = BuildMap(options, &problems);
    return built ? Ok() : Status(built.error());
  }
  Status Change(const std::vector<MapEdit>& edits) const {
    auto writer = JournalWriter::Open(map_);
    return writer ? writer->Append(edits) : Status(writer.error());
  }
  void Set(const std::string& user, const std::string& destination) const {
    Status s = Change({{user, Value(destination)}});
    ASSERT_TRUE(s.ok()) << s.error().text;
  }
  // Users and their destinations, by look-ups and by a visit.
  std::map<std::string, std::string> Users() {
    auto map = MapFile::Load(map_);
    EXPECT_TRUE(map.ok()) << map.error().text;
    if (!map) return {};
    warning_ = (*map)->journal_warning();
    std::map<std::string, std::string> users;
    (*map)->Visit([&](std::string_view user, std::string_view value) {
      std::string_view found;
      EXPECT_EQ((*map)->Find(user, &found), MapFile::Answer::kFound);
      EXPECT_EQ(found, value);
      users[std::string(user)] = ParseMapRecord(value)->destination;
      return true;
    });
    EXPECT_EQ(users.size(), (*map)->records());
    return users;
  }
  using Expected = std::map<std::string, std::string>;

  Folder folder_;
  const std::string map_ = folder_ / "users.cdb";
  const std::string log_ = folder_ / "users.cdb.log";
  std::string warning_;
};

TEST_F(JournalTest, ShowsChangesInsteadOfTheRecordsOfTheCdb) {
  Build("alice - tcp:a:1\nbob - tcp:b:1\ncarol - tcp:c:1 max=5\n");
  const std::string cdb = ReadFile(map_);
  Set("alice", "tcp:a:2");
  Set("dave", "tcp:d:1");
  ASSERT_TRUE(Change({{"bob", std::nullopt}, {"erin", Value("tcp:e:1")}}).ok());
  ASSERT_TRUE(Change({{"erin", std::nullopt}}).ok());
  EXPECT_EQ(Users(), (Expected{{"alice", "tcp:a:2"}, {"carol", "tcp:c:1"}, {"dave", "tcp:d:1"}}));
  EXPECT_EQ(warning_, "");
  EXPECT_EQ(ReadFile(map_), cdb);
  auto map = *MapFile::Load(map_);
  std::string_view value;
  EXPECT_EQ(map->Find("bob", &value), MapFile::Answer::kNotFound);
  EXPECT_EQ(MapDestinations::Of(*map).Addresses(9),
            (std::vector<std::string>{"tcp:a:2", "tcp:c:1", "tcp:d:1"}));
}

TEST_F(JournalTest, CountsRulesOfTheMapAsItIs) {
  Build("alice - tcp:a:1 country=DE\nbob - tcp:b:1\n");
  EXPECT_EQ((*MapFile::Load(map_))->rules().with_countries, 1u);
  ASSERT_TRUE(Change({{"alice", Value("tcp:a:1")},
                      {"bob", FormatMapRecord({"", "tcp:b:1", "\x80nonsense"})}})
                  .ok());
  const MapRulesCount rules = (*MapFile::Load(map_))->rules();
  EXPECT_EQ(rules.with_countries, 0u);
  EXPECT_EQ(rules.refused, 1u);
  EXPECT_NE(rules.first_refused.find("bob"), std::string::npos);
  ASSERT_TRUE(Change({{"bob", std::nullopt}}).ok());
  EXPECT_EQ((*MapFile::Load(map_))->rules().refused, 0u);
}

TEST_F(JournalTest, ABuildLeavesOutOlderChanges) {
  Build("alice - tcp:a:1\n");
  Set("alice", "tcp:a:2");
  Set("bob", "tcp:b:2");
  Build("alice - tcp:a:3\ncarol - tcp:c:3\n");
  EXPECT_EQ(Users(), (Expected{{"alice", "tcp:a:3"}, {"carol", "tcp:c:3"}}));
  EXPECT_EQ(warning_, "");
  Set("alice", "tcp:a:4");
  EXPECT_EQ(Users(), (Expected{{"alice", "tcp:a:4"}, {"carol", "tcp:c:3"}}));
}

TEST_F(JournalTest, ABuildKeepsChangesThatAreMadeWhileItReads) {
  Build("alice - tcp:a:1\nbob - tcp:b:1\n");
  for (const char* before : {"", "alice"}) {  // without and with a journal at the beginning
    if (*before) Set(before, "tcp:old:1");
    std::vector<std::string> problems;
    MapBuildOptions options;
    options.out = map_;
    options.in = folder_ / "users.txt";
    options.progress = [&](const char*, uint64_t) {
      if (options.allow_empty) return true;
      options.allow_empty = true;  // once
      Set("bob", "tcp:b:2");
      return true;
    };
    ASSERT_TRUE(BuildMap(options, &problems).ok());
    EXPECT_EQ(Users(), (Expected{{"alice", "tcp:a:1"}, {"bob", "tcp:b:2"}}));
  }
}

TEST_F(JournalTest, AFoldMakesTheSameMapWithoutChanges) {
  Build("alice - tcp:a:1\nbob - tcp:b:1\n");
  Set("alice", "tcp:a:2");
  ASSERT_TRUE(Change({{"bob", std::nullopt}}).ok());
  Set("carol", "tcp:c:1");
  const Expected before = Users();
  ASSERT_TRUE(Fold().ok());
  EXPECT_EQ(Users(), before);
  EXPECT_EQ((*MapFile::Load(map_))->changes(), 0u);
  unlink(log_.c_str());
  EXPECT_EQ(Users(), before);
  EXPECT_EQ(Fold().error().text, map_ + ": has no journal to fold");
}

TEST_F(JournalTest, DoesNotApplyToAnotherMap) {
  Build("alice - tcp:a:1\n");
  Set("alice", "tcp:a:2");
  Set("bob", "tcp:b:2");
  Build("alice - tcp:a:3\n");
  const std::string other = ReadFile(map_);
  unlink(map_.c_str());
  unlink(log_.c_str());
  Build("alice - tcp:a:1\n");
  Set("alice", "tcp:a:2");
  test::SwapFile(map_, other);  // by something that knows no journal
  EXPECT_EQ(Users(), (Expected{{"alice", "tcp:a:3"}}));
  EXPECT_EQ(warning_,
            log_ + ": was made for another version of the map: its changes are ignored: 1");
  EXPECT_EQ(Fold().error().text, warning_);
  Set("carol", "tcp:c:1");
  EXPECT_EQ(Users(), (Expected{{"alice", "tcp:a:3"}, {"carol", "tcp:c:1"}}));
  EXPECT_EQ(warning_, "");
}

TEST_F(JournalTest, DoesNotWarnOfChangesThatWereFolded) {
  Build("alice - tcp:a:1\n");
  Set("alice", "tcp:a:2");
  ASSERT_TRUE(Fold().ok());
  test::SwapFile(map_, test::MakeUsers("tcp:x:1"));
  EXPECT_EQ(Users().size(), 20u);
  EXPECT_EQ(warning_, "");
}

TEST_F(JournalTest, AppliesToACopyOfItsMap) {
  Build("alice - tcp:a:1\n");
  Set("alice", "tcp:a:2");
  test::SwapFile(map_, ReadFile(map_));
  EXPECT_EQ(Users(), (Expected{{"alice", "tcp:a:2"}}));
  Set("bob", "tcp:b:1");
  EXPECT_EQ(Users(), (Expected{{"alice", "tcp:a:2"}, {"bob", "tcp:b:1"}}));
}

TEST_F(JournalTest, CutsOffWhatAKilledWriterHasLeft) {
  Build("alice - tcp:a:1\n");
  Set("alice", "tcp:a:2");
  const std::string before = ReadFile(log_);
  Set("bob", "tcp:b:1");
  const std::string whole = ReadFile(log_);
  for (size_t size = before.size() + 1; size < whole.size(); ++size) {
    WriteFile(log_, whole.substr(0, size));
    ASSERT_EQ(Users(), (Expected{{"alice", "tcp:a:2"}})) << size;
    ASSERT_EQ(warning_, "");
    Set("carol", "tcp:c:1");
    ASSERT_EQ(Users(), (Expected{{"alice", "tcp:a:2"}, {"carol", "tcp:c:1"}})) << size;
  }
}

TEST_F(JournalTest, KeepsTheChangesBeforeADamage) {
  Build("alice - tcp:a:1\n");
  Set("alice", "tcp:a:2");
  const size_t good = ReadFile(log_).size();
  Set("bob", "tcp:b:1");
  Set("carol", "tcp:c:1");
  std::string bytes = ReadFile(log_);
  bytes[good + 30] = 'X';
  WriteFile(log_, bytes);
  EXPECT_EQ(Users(), (Expected{{"alice", "tcp:a:2"}}));
  const std::string at = log_ + ": is damaged at byte " + std::to_string(good) + ": ";
  EXPECT_TRUE(warning_.starts_with(at)) << warning_;
  Status set = Change({{"dave", Value("tcp:d:1")}});
  ASSERT_FALSE(set.ok());
  EXPECT_TRUE(set.error().text.starts_with(at)) << set.error().text;
  ASSERT_TRUE(Fold().ok());
  EXPECT_EQ(Users(), (Expected{{"alice", "tcp:a:2"}}));
  EXPECT_EQ(warning_, "");
  Set("dave", "tcp:d:1");
  EXPECT_EQ(Users(), (Expected{{"alice", "tcp:a:2"}, {"dave", "tcp:d:1"}}));
}

TEST_F(JournalTest, HasThePermissionsOfTheMap) {
  Build("alice - tcp:a:1\n");
  chmod(map_.c_str(), 0604);
  Set("alice", "tcp:a:2");
  struct stat st;
  ASSERT_EQ(stat(log_.c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 0777, 0604u);
}

TEST_F(JournalTest, FollowsNoSymbolicLink) {
  Build("alice - tcp:a:1\n");
  Set("alice", "tcp:a:2");
  ASSERT_EQ(rename(log_.c_str(), (folder_ / "elsewhere").c_str()), 0);
  ASSERT_EQ(symlink("elsewhere", log_.c_str()), 0);
  EXPECT_FALSE(MapFile::Load(map_).ok());
  EXPECT_FALSE(Change({{"alice", std::nullopt}}).ok());
}

TEST_F(JournalTest, IsAsBeforeWhenTheDiskIsFull) {
  Build("alice - tcp:a:1\n");
  Set("alice", "tcp:a:2");
  const std::string before = ReadFile(log_);
  signal(SIGXFSZ, SIG_IGN);
  rlimit old, limit;
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &old), 0);
  limit = old;
  limit.rlim_cur = before.size() + 10;
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
  Status s = Change({{"alice", Value("tcp:a:3")}});
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &old), 0);
  EXPECT_FALSE(s.ok());
  EXPECT_EQ(ReadFile(log_), before);
}

TEST_F(JournalTest, IsRewrittenWhenItIsFullOfWhatAppliesNoMore) {
  Build("alice - tcp:a:1\n");
  const MapEdit large{"big", Value("tcp:" + std::string(kJournalMostValue - 20, 'x'))};
  const std::vector<MapEdit> half(30, large);
  for (int round = 0; round < 3; ++round) {
    Build("alice - tcp:a:" + std::to_string(round + 1) + "\n");
    Status s = Change(half);
    ASSERT_TRUE(s.ok()) << s.error().text;
  }
  ASSERT_TRUE(Change(half).ok());
  EXPECT_EQ(Change(half).error().text, log_ + ": is full: rum-map fold makes a new map of it");
  EXPECT_EQ(Users().at("alice"), "tcp:a:3");
}

TEST_F(JournalTest, TakesTheChangesOfSeveralWriters) {
  Build("alice - tcp:a:1\n");
  constexpr int kWriters = 4, kChanges = 25;
  for (int writer = 0; writer < kWriters; ++writer) {
    if (fork() != 0) continue;
    bool good = true;
    for (int i = 0; i < kChanges; ++i) {
      good &= Change({{"w" + std::to_string(writer * kChanges + i), Value("tcp:w:1")}}).ok();
    }
    _exit(good ? 0 : 1);
  }
  for (int i = 0; i < 10; ++i) Build("alice - tcp:a:" + std::to_string(i + 1) + "\n");
  for (int writer = 0; writer < kWriters; ++writer) {
    int status = 0;
    ASSERT_GT(wait(&status), 0);
    EXPECT_EQ(status, 0);
  }
  auto writer = JournalWriter::Open(map_);
  ASSERT_TRUE(writer.ok());
  EXPECT_EQ(writer->last(), static_cast<uint64_t>(kWriters * kChanges));
  EXPECT_FALSE(writer->damaged());
  EXPECT_EQ(Users().at("alice"), "tcp:a:10");
}

// Kills `work` before each of its system calls in turn: what is there afterwards is what was before
// or what it makes, and the next change works.
template <class Work>
void KillAtEachStep(const std::function<void()>& prepare, Work work,
                    const std::function<void(int)>& look) {
  for (int step = 1;; ++step) {
    ASSERT_LT(step, 100);
    prepare();
    const pid_t child = fork();
    if (child == 0) {
      g_calls_left = step;
      work();
      _exit(0);
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    look(step);
    if (WIFEXITED(status)) {
      EXPECT_GT(step, 2);
      return;
    }
  }
}

TEST_F(JournalTest, IsRightWhereverAChangeIsKilled) {
  const Expected before = {{"alice", "tcp:a:1"}}, after = {{"alice", "tcp:a:2"}};
  KillAtEachStep(
      [&] {
        unlink(log_.c_str());
        Build("alice - tcp:a:1\n");
      },
      [&] { Set("alice", "tcp:a:2"); },
      [&](int step) {
        const Expected users = Users();
        EXPECT_TRUE(users == before || users == after) << step;
        EXPECT_EQ(warning_, "");
        Set("alice", "tcp:a:3");
        EXPECT_EQ(Users(), (Expected{{"alice", "tcp:a:3"}})) << step;
      });
}

TEST_F(JournalTest, IsRightWhereverABuildIsKilled) {
  const Expected before = {{"alice", "tcp:a:2"}, {"bob", "tcp:b:2"}, {"carol", "tcp:c:1"}},
                 after = {{"alice", "tcp:a:3"}, {"carol", "tcp:c:3"}};
  KillAtEachStep(
      [&] {
        unlink(log_.c_str());
        Build("alice - tcp:a:1\ncarol - tcp:c:1\n");
        Set("alice", "tcp:a:2");
        Set("bob", "tcp:b:2");
      },
      [&] { Build("alice - tcp:a:3\ncarol - tcp:c:3\n"); },
      [&](int step) {
        const Expected users = Users();
        EXPECT_TRUE(users == before || users == after) << step;
        EXPECT_EQ(warning_, "");
        Expected next = users;
        Set("dave", "tcp:d:1");
        next["dave"] = "tcp:d:1";
        EXPECT_EQ(Users(), next) << step;
      });
}

TEST_F(JournalTest, IsRightWhereverAFoldOfADamagedJournalIsKilled) {
  const Expected users = {{"alice", "tcp:a:2"}};
  KillAtEachStep(
      [&] {
        unlink(log_.c_str());
        Build("alice - tcp:a:1\n");
        Set("alice", "tcp:a:2");
        const size_t good = ReadFile(log_).size();
        Set("bob", "tcp:b:2");
        Set("carol", "tcp:c:2");
        std::string bytes = ReadFile(log_);
        bytes[good + 30] = 'X';
        WriteFile(log_, bytes);
      },
      [&] { (void)Fold(); }, [&](int step) { EXPECT_EQ(Users(), users) << step; });
}

}  // namespace
}  // namespace rum
