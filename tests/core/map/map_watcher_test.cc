// MapWatcher: which versions of the file reach the main loop, and what is told about the others.
#include "map/map_watcher.h"

#include <event2/event.h>
#include <sys/resource.h>

#include <atomic>
#include <functional>
#include <set>
#include <thread>

#include "base/clock.h"
#include "map/journal_writer.h"
#include "map_test_files.h"

namespace rum {
namespace {

using std::chrono::milliseconds;
using test::Folder;
using test::MakeCdb;
using test::MakeUsers;
using test::SwapFile;
using test::UserValue;
using test::WriteFile;

constexpr milliseconds kInterval(10);

// A main loop with a watcher on it, and all that it was told.
class MapWatcherTest : public testing::Test {
 protected:
  ~MapWatcherTest() override {
    watcher_.reset();
    event_base_free(base_);
  }

  void Start(milliseconds interval = kInterval) {
    watcher_ = std::make_unique<MapWatcher>(
        base_, path_,
        [this](std::shared_ptr<const MapFile> map) {
          EXPECT_EQ(std::this_thread::get_id(), main_);
          map_ = std::move(map);
          ++maps_;
        },
        [this](const Error& error) {
          EXPECT_EQ(std::this_thread::get_id(), main_);
          errors_.push_back(error.text);
        },
        interval);
    Status status = watcher_->Start();
    ASSERT_TRUE(status.ok()) << status.error().text;
  }

  // Runs the loop until `done`, for at most 20 s.
  bool Await(const std::function<bool()>& done) {
    for (int i = 0; i < 10000 && !done(); ++i) RunFor(milliseconds(2));
    return done();
  }
  void RunFor(milliseconds time) {
    timeval tv = TimevalOf(time);
    event_base_loopexit(base_, &tv);
    event_base_dispatch(base_);
  }
  // So long that a version would have been noticed many times.
  void RunForManyLooks() { RunFor(kInterval * 30); }

  // Where all users go in the map of now.
  std::string Destination() const {
    std::string_view value;
    if (!map_ || map_->Find("user1", &value) != MapFile::Answer::kFound) return "";
    return std::string(value.substr(1, value.size() - 2));
  }

  Folder folder_;
  const std::string path_ = folder_ / "users.cdb";
  event_base* base_ = event_base_new();
  const std::thread::id main_ = std::this_thread::get_id();
  std::shared_ptr<const MapFile> map_;
  int maps_ = 0;
  std::vector<std::string> errors_;
  std::unique_ptr<MapWatcher> watcher_;
};

TEST_F(MapWatcherTest, HasTheMapWhenStartReturns) {
  WriteFile(path_, MakeUsers("tcp:a:1"));
  Start();
  EXPECT_EQ(Destination(), "tcp:a:1");
  EXPECT_EQ(watcher_->stats().loads, 1u);
  EXPECT_EQ(watcher_->stats().failures, 0u);
  EXPECT_GT(watcher_->stats().loaded_at, 0);
  RunForManyLooks();
  EXPECT_EQ(maps_, 1);
  EXPECT_TRUE(errors_.empty());
}

TEST_F(MapWatcherTest, StartsWithoutAMapAndPicksItUpWhenItComes) {
  Start();
  EXPECT_EQ(errors_, std::vector{path_ + ": No such file or directory; no map is loaded"});
  RunForManyLooks();
  EXPECT_EQ(errors_.size(), 1u);
  SwapFile(path_, MakeUsers("tcp:a:1"));
  EXPECT_TRUE(Await([&] { return Destination() == "tcp:a:1"; }));
  EXPECT_EQ(watcher_->stats().last_error, "");
}

TEST_F(MapWatcherTest, NoticesThatANewFileWasRenamedOverTheOld) {
  WriteFile(path_, MakeUsers("tcp:a:1"));
  Start();
  for (int i = 0; i < 20; ++i) {
    const std::string destination = i % 2 ? "tcp:a:1" : "tcp:b:1";
    SwapFile(path_, MakeUsers(destination));
    ASSERT_TRUE(Await([&] { return Destination() == destination; })) << i;
  }
  EXPECT_TRUE(errors_.empty());
  EXPECT_EQ(watcher_->stats().loads, static_cast<uint64_t>(maps_));
}

TEST_F(MapWatcherTest, NoticesAFileThatIsRewrittenInPlace) {
  WriteFile(path_, MakeUsers("tcp:a:1"));
  Start();
  WriteFile(path_, MakeUsers("tcp:b:1"));
  EXPECT_TRUE(Await([&] { return Destination() == "tcp:b:1"; }));
}

TEST_F(MapWatcherTest, NoticesThatASymbolicLinkLeadsElsewhere) {
  WriteFile(folder_ / "a", MakeUsers("tcp:a:1"));
  WriteFile(folder_ / "b", MakeUsers("tcp:b:1"));
  ASSERT_EQ(symlink("a", path_.c_str()), 0);
  Start();
  EXPECT_EQ(Destination(), "tcp:a:1");
  ASSERT_EQ(symlink("b", (path_ + ".new").c_str()), 0);
  ASSERT_EQ(rename((path_ + ".new").c_str(), path_.c_str()), 0);
  EXPECT_TRUE(Await([&] { return Destination() == "tcp:b:1"; }));
}

TEST_F(MapWatcherTest, TellsOfABadFileOnceAndKeepsTheLastGoodMap) {
  WriteFile(path_, MakeUsers("tcp:a:1"));
  Start();
  SwapFile(path_, "this is no CDB");
  ASSERT_TRUE(Await([&] { return !errors_.empty(); }));
  RunForManyLooks();
  ASSERT_EQ(errors_.size(), 1u);
  EXPECT_EQ(errors_[0].find(path_ + ": has 14 bytes, less than the header"), 0u) << errors_[0];
  EXPECT_NE(errors_[0].find("; the map loaded at 20"), std::string::npos) << errors_[0];
  EXPECT_TRUE(errors_[0].ends_with(" stays in use")) << errors_[0];
  EXPECT_EQ(Destination(), "tcp:a:1");
  EXPECT_EQ(maps_, 1);
  EXPECT_EQ(watcher_->stats().failures, 1u);
  EXPECT_EQ(watcher_->stats().last_error, errors_[0]);

  SwapFile(path_, std::string(5000, '\0'));
  ASSERT_TRUE(Await([&] { return errors_.size() == 2; }));
  SwapFile(path_, MakeUsers("tcp:b:1"));
  EXPECT_TRUE(Await([&] { return Destination() == "tcp:b:1"; }));
  EXPECT_EQ(errors_.size(), 2u);
  EXPECT_EQ(watcher_->stats().failures, 2u);
}

TEST_F(MapWatcherTest, SurvivesATruncationInPlaceWithTheOldAnswers) {
  WriteFile(path_, MakeUsers("tcp:a:1"));
  Start();
  ASSERT_EQ(truncate(path_.c_str(), 100), 0);
  ASSERT_TRUE(Await([&] { return !errors_.empty(); }));
  EXPECT_EQ(Destination(), "tcp:a:1");
  WriteFile(path_, MakeUsers("tcp:b:1"));
  EXPECT_TRUE(Await([&] { return Destination() == "tcp:b:1"; }));
}

TEST_F(MapWatcherTest, KeepsTheMapWhenTheFileIsDeleted) {
  WriteFile(path_, MakeUsers("tcp:a:1"));
  Start();
  unlink(path_.c_str());
  ASSERT_TRUE(Await([&] { return !errors_.empty(); }));
  RunForManyLooks();
  EXPECT_EQ(errors_.size(), 1u);
  EXPECT_EQ(Destination(), "tcp:a:1");
  SwapFile(path_, MakeUsers("tcp:b:1"));
  EXPECT_TRUE(Await([&] { return Destination() == "tcp:b:1"; }));
}

TEST_F(MapWatcherTest, TriesAgainWhenThePermissionComesBack) {
  struct Back {
    ~Back() { EXPECT_EQ(seteuid(getuid()), 0); }
  } back;
  if (geteuid() == 0 && seteuid(65534) != 0) GTEST_SKIP() << "cannot stop being root";
  // As nobody: its own folder, because the fixture's may be root's.
  std::string own = testing::TempDir() + "rum-map-nobody-XXXXXX";
  ASSERT_NE(mkdtemp(own.data()), nullptr);
  const std::string path = own + "/users.cdb";
  WriteFile(path, MakeUsers("tcp:a:1"));
  chmod(path.c_str(), 0);
  int maps = 0, errors = 0;
  {
    MapWatcher watcher(
        base_, path, [&](auto) { ++maps; }, [&](const Error&) { ++errors; }, kInterval);
    ASSERT_TRUE(watcher.Start().ok());
    EXPECT_EQ(errors, 1);
    chmod(path.c_str(), 0600);
    EXPECT_TRUE(Await([&] { return maps == 1; }));
  }
  std::filesystem::remove_all(own);
}

TEST_F(MapWatcherTest, LooksAtOnceWhenAsked) {
  WriteFile(path_, MakeUsers("tcp:a:1"));
  Start(std::chrono::hours(1));
  SwapFile(path_, MakeUsers("tcp:b:1"));
  RunFor(milliseconds(50));
  EXPECT_EQ(Destination(), "tcp:a:1");
  watcher_->check_now();
  EXPECT_TRUE(Await([&] { return Destination() == "tcp:b:1"; }));
}

TEST_F(MapWatcherTest, TellsAgainOfABadFileWhenAsked) {
  Start(std::chrono::hours(1));
  WriteFile(path_, "bad");
  for (size_t times = 2; times < 5; ++times) {
    watcher_->check_now();
    ASSERT_TRUE(Await([&] { return errors_.size() == times; }));
  }
  EXPECT_EQ(maps_, 0);
}

TEST_F(MapWatcherTest, DoesNotLoadTheSameVersionAgainWhenAsked) {
  WriteFile(path_, MakeUsers("tcp:a:1"));
  Start();
  for (int i = 0; i < 5; ++i) {
    watcher_->check_now();
    RunFor(kInterval * 2);
  }
  EXPECT_EQ(maps_, 1);
}

TEST_F(MapWatcherTest, TellsWhenItHasLooked) {
  WriteFile(path_, MakeUsers("tcp:a:1"));
  Start(std::chrono::hours(1));
  int told = 0;
  auto done = [&] { ++told; };
  watcher_->check_now(done);
  EXPECT_EQ(told, 0);
  EXPECT_TRUE(Await([&] { return told == 1; })) << "nothing has changed";
  EXPECT_EQ(maps_, 1);
  SwapFile(path_, MakeUsers("tcp:b:1"));
  watcher_->check_now([&] {
    EXPECT_EQ(Destination(), "tcp:b:1");
    done();
  });
  EXPECT_TRUE(Await([&] { return told == 2; }));
  SwapFile(path_, "bad");
  watcher_->check_now([&] {
    EXPECT_EQ(errors_.size(), 1u);
    done();
  });
  watcher_->check_now();
  watcher_->check_now(done);
  EXPECT_TRUE(Await([&] { return told == 4; }));
  EXPECT_NE(watcher_->stats().last_error, "");
}

TEST_F(MapWatcherTest, TriesAgainByItselfWhenTheMachineHadNoDescriptor) {
  Start();
  const std::string ready = folder_ / "ready";
  WriteFile(ready, MakeUsers("tcp:a:1"));
  rlimit before, none;
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  none = before;
  none.rlim_cur = 3;
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
  EXPECT_EQ(rename(ready.c_str(), path_.c_str()), 0);
  bool told = Await([&] { return errors_.size() >= 2; });
  RunFor(kInterval * 40);  // several tries
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_TRUE(told);
  EXPECT_EQ(maps_, 0);
  ASSERT_EQ(errors_.size(), 2u);
  EXPECT_NE(errors_[1].find("Too many open files"), std::string::npos) << errors_[1];
  EXPECT_TRUE(Await([&] { return Destination() == "tcp:a:1"; }));
}

TEST_F(MapWatcherTest, HandsOutWholeVersionsOfAFileThatNeverRests) {
  const std::string a = MakeUsers("tcp:a:1", 500), b = MakeUsers("tcp:b:1", 500);
  WriteFile(path_, a);
  Start();
  std::atomic<bool> done = false;
  std::thread flipper([&] {
    for (int i = 0; !done; ++i) {
      SwapFile(path_, i % 2 ? a : b);
      std::this_thread::sleep_for(milliseconds(1));
    }
    SwapFile(path_, MakeUsers("tcp:last:1", 500));
  });
  std::shared_ptr<const MapFile> before;
  int mixed = 0;
  bool moved = Await([&] {
    if (map_ != before) {
      before = map_;
      std::set<std::string_view> values;
      map_->Visit([&](std::string_view, std::string_view value) {
        values.insert(value);
        return true;
      });
      mixed += values.size() != 1;
    }
    return maps_ >= 30;
  });
  done = true;
  flipper.join();
  EXPECT_TRUE(moved) << maps_;
  EXPECT_EQ(mixed, 0);
  EXPECT_TRUE(Await([&] { return Destination() == "tcp:last:1"; }));
  EXPECT_TRUE(errors_.empty()) << errors_[0];
}

TEST_F(MapWatcherTest, GivesAMapBackOnceNobodyUsesIt) {
  WriteFile(path_, MakeUsers("tcp:a:1"));
  Start();
  std::weak_ptr<const MapFile> first = map_;
  auto held = map_;
  SwapFile(path_, MakeUsers("tcp:b:1"));
  ASSERT_TRUE(Await([&] { return Destination() == "tcp:b:1"; }));
  RunForManyLooks();
  EXPECT_FALSE(first.expired());
  held.reset();
  EXPECT_TRUE(Await([&] { return first.expired(); }));
}

TEST_F(MapWatcherTest, EndsWhileALoadIsUnderWayAndTellsNothingMore) {
  WriteFile(path_, MakeUsers("tcp:a:1"));
  const std::string big = MakeCdb({{"user1", std::string(32 << 20, 'x')}});
  for (int i = 0; i < 5; ++i) {
    Start(milliseconds(1));
    const int maps = maps_;
    SwapFile(path_, big);
    std::this_thread::sleep_for(milliseconds(i * 5));
    watcher_.reset();
    RunFor(milliseconds(5));
    EXPECT_EQ(maps_, maps);
    SwapFile(path_, MakeUsers("tcp:a:1"));
  }
}

// -- the journal ----------------------------------------------------------------------------------

Status Change(const std::string& map, const std::vector<MapEdit>& edits) {
  auto writer = JournalWriter::Open(map);
  return writer ? writer->Append(edits) : Status(writer.error());
}

// One user of MakeUsers() goes elsewhere.
void Move(const std::string& map, const std::string& destination) {
  Status s = Change(map, {{"user1", UserValue(destination)}});
  ASSERT_TRUE(s.ok()) << s.error().text;
}

TEST_F(MapWatcherTest, AppliesChangesOfTheJournalWithoutLoadingTheMapAgain) {
  WriteFile(path_, MakeUsers("tcp:a:1"));
  Start();
  for (int i = 2; i < 10; ++i) {
    const std::string destination = "tcp:b:" + std::to_string(i);
    Move(path_, destination);
    ASSERT_TRUE(Await([&] { return Destination() == destination; })) << i;
    const auto& servers = watcher_->destinations();
    EXPECT_EQ(std::set(servers.begin(), servers.end()),
              (std::set<std::string>{"tcp:a:1", destination}));
  }
  EXPECT_GT(watcher_->changed_at(), 0);
  ASSERT_TRUE(Change(path_, {{"user1", std::nullopt}}).ok());
  EXPECT_TRUE(Await([&] { return Destination().empty(); }));
  ASSERT_EQ(unlink((path_ + ".log").c_str()), 0);
  EXPECT_TRUE(Await([&] { return Destination() == "tcp:a:1"; }));
  EXPECT_EQ(watcher_->stats().loads, 1u);
  EXPECT_TRUE(errors_.empty());
}

TEST_F(MapWatcherTest, TakesAJournalThatIsThereAtTheStartOrIsCopied) {
  WriteFile(path_, MakeUsers("tcp:a:1"));
  Move(path_, "tcp:b:1");
  const std::string first = test::ReadFile(path_ + ".log");
  Start();
  EXPECT_EQ(Destination(), "tcp:b:1");
  Move(path_, "tcp:b:2");
  const std::string second = test::ReadFile(path_ + ".log");
  ASSERT_TRUE(Await([&] { return Destination() == "tcp:b:2"; }));
  WriteFile(path_ + ".log", first);  // shorter, in place
  EXPECT_TRUE(Await([&] { return Destination() == "tcp:b:1"; }));
  SwapFile(path_ + ".log", second);  // by renaming
  EXPECT_TRUE(Await([&] { return Destination() == "tcp:b:2"; }));
  WriteFile(path_ + ".log", second.substr(0, second.size() - 1));
  EXPECT_TRUE(Await([&] { return Destination() == "tcp:b:1"; }));
  WriteFile(path_ + ".log", second);
  EXPECT_TRUE(Await([&] { return Destination() == "tcp:b:2"; }));
  EXPECT_EQ(watcher_->stats().loads, 1u);
  EXPECT_TRUE(errors_.empty());
}

// rsync may bring the journal before the map, or the map before the journal.
TEST_F(MapWatcherTest, KeepsItsChangesUntilTheMapOfANewJournalComes) {
  const std::string other = folder_ / "other.cdb";
  WriteFile(path_, MakeUsers("tcp:a:1"));
  WriteFile(other, MakeUsers("tcp:c:1"));
  Move(path_, "tcp:b:1");
  Move(other, "tcp:d:1");
  Start();
  SwapFile(path_ + ".log", test::ReadFile(other + ".log"));
  RunForManyLooks();
  EXPECT_EQ(Destination(), "tcp:b:1");
  SwapFile(path_, test::ReadFile(other));
  EXPECT_TRUE(Await([&] { return Destination() == "tcp:d:1"; }));
  EXPECT_TRUE(map_->journal_warning().empty());

  const std::string log = test::ReadFile(path_ + ".log");
  SwapFile(path_, MakeUsers("tcp:e:1"));
  EXPECT_TRUE(Await([&] { return Destination() == "tcp:e:1"; }));
  EXPECT_FALSE(map_->journal_warning().empty());
  Move(path_, "tcp:f:1");
  EXPECT_TRUE(Await([&] { return Destination() == "tcp:f:1"; }));
  EXPECT_TRUE(map_->journal_warning().empty());
}

TEST_F(MapWatcherTest, LosesNoChangeWhileMapsAreBuilt) {
  WriteFile(path_, MakeUsers("tcp:a:1", 2000));
  Start();
  const auto replacement = MapReplacement::Begin(path_);
  ASSERT_TRUE(replacement.ok());
  std::atomic<bool> done = false;
  std::atomic<int> made = 0;
  std::thread writer([&] {
    while (!done) {
      const std::string number = std::to_string(++made);
      EXPECT_TRUE(Change(path_, {{"new" + number, UserValue("tcp:n:1")}}).ok());
      std::this_thread::sleep_for(milliseconds(1));
    }
  });
  for (int i = 0; i < 20; ++i) {
    // As a build that began before the first change.
    auto file = AtomicFile::Make(path_);
    ASSERT_TRUE(file.ok());
    const std::string bytes = MakeUsers("tcp:b:" + std::to_string(i + 1), 2000);
    ASSERT_EQ(write(file->fd(), bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
    auto build = *replacement;
    ASSERT_TRUE(build.Publish(*file, bytes, 0600).ok());
    RunFor(milliseconds(10));
  }
  done = true;
  writer.join();
  EXPECT_TRUE(Await([&] {
    return map_->changes() == static_cast<size_t>(made) && Destination() == "tcp:b:20";
  })) << map_->changes()
      << " of " << made;
  EXPECT_TRUE(errors_.empty());
}

TEST_F(MapWatcherTest, LeavesNoDescriptorBehind) {
  auto open_descriptors = [] {
    return std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {});
  };
  WriteFile(path_, MakeUsers("tcp:a:1"));
  const auto before = open_descriptors();
  for (int i = 0; i < 10; ++i) {
    Start(milliseconds(1));
    SwapFile(path_, i % 2 ? MakeUsers("tcp:a:1") : std::string("bad"));
    RunFor(milliseconds(10));
    watcher_.reset();
  }
  EXPECT_EQ(open_descriptors(), before);
}

}  // namespace
}  // namespace rum
