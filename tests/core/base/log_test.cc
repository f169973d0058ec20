#include "base/log.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "base/fd.h"
#include "base/repeats.h"
#include "support/folder.h"
#include "support/timeout.h"

namespace rum {
namespace {

using test::Contents;
using test::Eventually;
using test::Folder;
using namespace std::string_literals;

// Each test opens the log and closes it.
class Log : public testing::Test {
 protected:
  Log() { ::signal(SIGPIPE, SIG_IGN); }  // as rum does
  void Open(const std::string& target, bool json = false, log::Level level = log::Level::kInfo) {
    log::Options options;
    options.target = target;
    options.json = json;
    options.level = level;
    auto opened = log::Open(options);
    ASSERT_TRUE(opened.ok()) << opened.error().text;
  }
  void TearDown() override { log::Close(); }

  // Lines of the file so far.
  static std::vector<std::string> LinesOf(const std::string& path) {
    std::vector<std::string> lines;
    std::string text = Contents(path);
    for (size_t begin = 0, end; (end = text.find('\n', begin)) != text.npos; begin = end + 1) {
      lines.push_back(text.substr(begin, end - begin));
    }
    return lines;
  }
  static bool Reaches(const std::string& path, std::string_view text) {
    return Eventually([&] { return Contents(path).find(text) != std::string::npos; });
  }

  Folder folder_;
};

TEST_F(Log, WritesLinesWithTimeAndLevelToAFile) {
  Open(folder_ / "log");
  log::Info("first {}", 1);
  log::Error("second {}", "two");
  ASSERT_TRUE(Reaches(folder_ / "log", "second"));
  auto lines = LinesOf(folder_ / "log");
  ASSERT_EQ(lines.size(), 2u);
  // 2024-01-31T12:00:00.123+01:00 info first 1
  EXPECT_EQ(lines[0].substr(29), " info first 1");
  EXPECT_EQ(lines[0][10], 'T');
  EXPECT_EQ(lines[1].substr(29), " error second two");
}

TEST_F(Log, AppendsToAFileThatIsThere) {
  Open(folder_ / "log");
  log::Info("before");
  log::Close();
  Open(folder_ / "log");
  log::Info("after");
  ASSERT_TRUE(Reaches(folder_ / "log", "after"));
  EXPECT_EQ(LinesOf(folder_ / "log").size(), 2u);
}

TEST_F(Log, CloseWritesWhatWaits) {
  Open(folder_ / "log");
  for (int i = 0; i < 1000; ++i) log::Info("line {}", i);
  log::Close();
  EXPECT_EQ(LinesOf(folder_ / "log").size(), 1000u);
  EXPECT_NE(LinesOf(folder_ / "log").back().find("line 999"), std::string::npos);
}

TEST_F(Log, LeavesOutWhatIsBelowItsLevel) {
  Open(folder_ / "log", false, log::Level::kWarning);
  EXPECT_TRUE(log::Enabled(log::Level::kError));
  EXPECT_TRUE(log::Enabled(log::Level::kWarning));
  EXPECT_FALSE(log::Enabled(log::Level::kInfo));
  EXPECT_FALSE(log::Enabled(log::Level::kDebug));
  log::Debug("no");
  log::Info("no");
  log::Warning("yes");
  log::Close();
  ASSERT_EQ(LinesOf(folder_ / "log").size(), 1u);
  EXPECT_NE(LinesOf(folder_ / "log")[0].find("yes"), std::string::npos);
}

TEST_F(Log, JsonLinesAreJsonWhateverTheyHold) {
  Open(folder_ / "log", true);
  std::string nasty = "quote \" backslash \\ newline \n nul ";
  nasty += '\0';
  nasty += " broken \xff\xfe separator \xe2\x80\xa8 percent %s %v {} end";
  log::Write(log::Level::kWarning, nasty);
  log::WriteFields(log::Level::kInfo, true, "\"event\":\"x\",\"number\":7");
  log::Close();
  auto lines = LinesOf(folder_ / "log");
  ASSERT_EQ(lines.size(), 2u);
  auto first = nlohmann::json::parse(lines[0], nullptr, false);
  ASSERT_TRUE(first.is_object()) << lines[0];
  EXPECT_EQ(first["level"], "warning");
  EXPECT_TRUE(first["time"].is_string());
  EXPECT_NE(first["message"].get<std::string>().find("newline \\x0a nul \\x00"), std::string::npos)
      << first["message"];
  EXPECT_NE(first["message"].get<std::string>().find("percent %s %v {} end"), std::string::npos);
  auto second = nlohmann::json::parse(lines[1], nullptr, false);
  ASSERT_TRUE(second.is_object()) << lines[1];
  EXPECT_EQ(second["number"], 7);
  EXPECT_EQ(second["event"], "x");
}

// What a module logs may be what a client sent.
TEST_F(Log, ALineOfTextStaysOneLineAndSendsNothingToATerminal) {
  Open(folder_ / "log");
  log::Write(log::Level::kInfo,
             "user a\n2024-01-01T00:00:00.000+0000 info \x1b[31mforged\0 \xc2\x9b"s);
  log::Close();
  auto lines = LinesOf(folder_ / "log");
  ASSERT_EQ(lines.size(), 1u);
  for (char c : lines[0]) EXPECT_GE(static_cast<unsigned char>(c), 0x20) << lines[0];
  EXPECT_EQ(lines[0].find("\xc2\x9b"), std::string::npos);
  EXPECT_NE(lines[0].find("forged"), std::string::npos);
}

TEST_F(Log, BracesAndPercentsInATextAreOnlyText) {
  Open(folder_ / "log");
  log::Write(log::Level::kInfo, "{} {0} %v %s %n");
  ASSERT_TRUE(Reaches(folder_ / "log", " info {} {0} %v %s %n\n"));
}

TEST_F(Log, ReopensByNameAfterARename) {
  Open(folder_ / "log");
  log::Info("before");
  ASSERT_TRUE(Reaches(folder_ / "log", "before"));
  ASSERT_EQ(::rename((folder_ / "log").c_str(), (folder_ / "log.1").c_str()), 0);
  log::Info("between");
  ASSERT_TRUE(Reaches(folder_ / "log.1", "between"));
  log::Reopen();
  log::Info("after");
  ASSERT_TRUE(Reaches(folder_ / "log", "after"));
  EXPECT_EQ(Contents(folder_ / "log").find("between"), std::string::npos);
  EXPECT_EQ(Contents(folder_ / "log.1").find("after"), std::string::npos);
}

TEST_F(Log, ReopenThatFailsKeepsTheProcessAndALaterOneWorks) {
  std::string inner = folder_ / "inner";
  ASSERT_EQ(::mkdir(inner.c_str(), 0700), 0);
  Open(inner + "/log");
  log::Info("before");
  ASSERT_TRUE(Reaches(inner + "/log", "before"));
  ASSERT_EQ(::rename(inner.c_str(), (folder_ / "moved").c_str()), 0);
  // A file where the folder was: nothing can be opened by that name, not even by making the folder.
  Fd blocker(::open(inner.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  log::Reopen();
  for (int i = 0; i < 10; ++i) {
    log::Info("while it cannot be opened {}", i);
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  const std::string old = folder_ / "moved/log";
  ASSERT_TRUE(Reaches(old, "while it cannot be opened 9"));
  const std::string warning = " warning cannot log to '" + inner + "/log': ";
  const std::string kept = Contents(old);
  const size_t at = kept.find(warning);
  ASSERT_NE(at, kept.npos) << kept;
  EXPECT_EQ(kept.find(warning, at + 1), kept.npos) << kept;
  ASSERT_EQ(::unlink(inner.c_str()), 0);
  ASSERT_EQ(::mkdir(inner.c_str(), 0700), 0);
  log::Reopen();
  ASSERT_TRUE(Eventually([&] {
    log::Info("after");
    return Contents(inner + "/log").find("after") != std::string::npos;
  }));
}

TEST_F(Log, ATargetThatCannotBeOpenedIsAnErrorWithItsName) {
  Fd file(::open((folder_ / "file").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  log::Options options;
  options.target = folder_ / "file/log";
  auto opened = log::Open(options);
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.error().fault, Fault::kConfig);
  EXPECT_NE(opened.error().text.find(options.target), std::string::npos) << opened.error().text;
}

TEST_F(Log, AFullDiskDropsLinesAndCountsThem) {
  uint64_t before = log::Dropped();
  Open("/dev/full");
  for (int i = 0; i < 100; ++i) log::Info("line {} that finds no room", i);
  EXPECT_TRUE(Eventually([&] { return log::Dropped() >= before + 100; }))
      << log::Dropped() - before << " of 100 are counted";
  log::Close();
  EXPECT_EQ(log::Dropped(), before + 100);
}

// What a full disk does to a file, by a limit of its size.
TEST_F(Log, ALineThatFoundRoomForItsBeginningIsCompletedBeforeTheNext) {
  ::signal(SIGXFSZ, SIG_IGN);
  const std::string path = folder_ / "log";
  uint64_t before = log::Dropped();
  Open(path);
  rlimit limit;
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &limit), 0);
  const rlim_t all = limit.rlim_cur;
  limit.rlim_cur = 200;
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &limit), 0);
  const std::string words(100, 'x');
  for (int i = 0; i < 9; ++i) log::Info("line {} {}", i, words);
  EXPECT_TRUE(Eventually([&] { return log::Dropped() == before + 7; })) << log::Dropped() - before;
  limit.rlim_cur = all;
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &limit), 0);
  log::Info("line 9 {}", words);
  log::Close();
  auto lines = LinesOf(path);
  ASSERT_EQ(lines.size(), 3u) << Contents(path);
  for (const auto& [at, number] : {std::pair{0, 0}, {1, 1}, {2, 9}}) {
    EXPECT_EQ(lines[static_cast<size_t>(at)].substr(29),
              fmt::format(" info line {} {}", number, words));
  }
  EXPECT_EQ(log::Dropped(), before + 7);
}

TEST_F(Log, ALineThatWasBegunIsForgottenWithAFileThatIsCut) {
  ::signal(SIGXFSZ, SIG_IGN);
  const std::string path = folder_ / "log";
  uint64_t before = log::Dropped();
  Open(path);
  rlimit limit;
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &limit), 0);
  const rlim_t all = limit.rlim_cur;
  limit.rlim_cur = 60;
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &limit), 0);
  const std::string words(100, 'x');
  log::Info("line 0 {}", words);
  log::Info("line 1 {}", words);
  EXPECT_TRUE(Eventually([&] { return log::Dropped() == before + 1; })) << log::Dropped() - before;
  ASSERT_EQ(::truncate(path.c_str(), 0), 0);
  limit.rlim_cur = all;
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &limit), 0);
  log::Info("line 2");
  log::Close();
  EXPECT_EQ(Contents(path).substr(29), " info line 2\n") << Contents(path);
  EXPECT_EQ(log::Dropped(), before + 2);
}

// Session lines are made by the workers in the form of that moment, and may be written later.
TEST_F(Log, ALineIsWrittenInTheFormInWhichItWasMade) {
  const std::string path = folder_ / "log";
  Open(path, true);
  const std::string text = "session id=1", fields = "\"event\":\"session\",\"id\":1";
  auto all = [&] {
    log::WriteFields(log::Level::kInfo, false, text);
    log::WriteFields(log::Level::kInfo, true, fields);
    log::Info("words");
  };
  all();
  ASSERT_TRUE(log::Change({.target = path}).ok());
  all();
  log::Close();
  auto lines = LinesOf(path);
  ASSERT_EQ(lines.size(), 6u) << Contents(path);
  for (size_t i : {0, 3}) EXPECT_EQ(lines[i].substr(29), " info session id=1");
  for (size_t i : {1, 4}) {
    auto json = nlohmann::json::parse(lines[i], nullptr, false);
    ASSERT_TRUE(json.is_object()) << lines[i];
    EXPECT_EQ(json["id"], 1);
  }
  EXPECT_EQ(nlohmann::json::parse(lines[2], nullptr, false).value("message", ""), "words");
  EXPECT_EQ(lines[5].substr(29), " info words");
}

TEST_F(Log, ClosedItHoldsNobodyUpByAnErrorOutputThatNobodyReads) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  Fd reader(ends[0]), writer(ends[1]);
  Fd saved(::dup(STDERR_FILENO));
  ::fcntl(writer.get(), F_SETFL, O_NONBLOCK);
  while (::write(writer.get(), "x", 1) == 1) {
  }
  ::fcntl(writer.get(), F_SETFL, 0);
  ASSERT_EQ(::dup2(writer.get(), STDERR_FILENO), STDERR_FILENO);
  std::atomic<bool> done = false;
  std::thread caller([&] {
    log::Error("no room for this");
    done = true;
  });
  bool held_up = !Eventually([&] { return done.load(); }, std::chrono::seconds(5));
  ::dup2(saved.get(), STDERR_FILENO);
  reader.reset();  // lets go of who is held up
  caller.join();
  EXPECT_FALSE(held_up);
}

// A pipe that nobody reads: the writing thread stands still, the callers do not.
TEST_F(Log, SyslogThatIsNotThereIsToldWhereLinesWentBeforeAndTheLostAreCounted) {
  if (::access("/dev/log", F_OK) == 0) GTEST_SKIP() << "there is a syslog";
  const std::string path = folder_ / "log";
  Open(path);
  uint64_t before = log::Dropped();
  ASSERT_TRUE(log::Change({.target = "syslog"}).ok());
  for (int i = 0; i < 3; ++i) log::Info("line {}", i);
  EXPECT_TRUE(Eventually([&] { return log::Dropped() == before + 3; })) << log::Dropped() - before;
  ASSERT_EQ(LinesOf(path).size(), 1u) << Contents(path);
  EXPECT_NE(LinesOf(path)[0].find("warning cannot reach syslog: /dev/log: No such file"),
            std::string::npos)
      << Contents(path);
  EXPECT_TRUE(log::Change({.target = path}).ok());
  log::Info("again");
  EXPECT_TRUE(Reaches(path, "again"));
}

TEST_F(Log, ATargetThatBlocksHoldsNobodyUpAndTheDroppedLinesAreCounted) {
  std::string path = folder_ / "pipe";
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  Fd reader(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  ASSERT_TRUE(reader);
  Open(path);
  uint64_t before = log::Dropped();
  constexpr int kLines = 50000;  // more than a pipe and the queue hold
  std::string long_line(200, 'x');
  std::thread writer([&] {
    for (int i = 0; i < kLines; ++i) log::Info("{} {}", i, long_line);
  });
  std::atomic<bool> done = false;
  std::thread waiter([&] {
    writer.join();
    done = true;
  });
  EXPECT_TRUE(Eventually([&] { return done.load(); })) << "a caller of the log was held up";
  uint64_t dropped = log::Dropped() - before;
  EXPECT_GT(dropped, 0u);
  EXPECT_LT(dropped, static_cast<uint64_t>(kLines));
  // Somebody reads again: what was not dropped arrives, each line whole.
  std::atomic<bool> stop = false;
  std::atomic<size_t> newlines = 0;
  std::thread drain([&] {
    std::string block(65536, '\0');
    while (!stop) {
      ssize_t n = ::read(reader.get(), block.data(), block.size());
      if (n > 0) {
        newlines += static_cast<size_t>(std::count(block.begin(), block.begin() + n, '\n'));
      } else {
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      }
    }
  });
  EXPECT_TRUE(Eventually([&] { return newlines + (log::Dropped() - before) == kLines; }))
      << newlines << " arrived and " << log::Dropped() - before << " dropped of " << kLines;
  log::Close();
  stop = true;
  drain.join();
  waiter.join();
}

// A process must be able to end although its log's reader stands still.
TEST_F(Log, CloseEndsAlthoughTheTargetBlocks) {
  std::string path = folder_ / "pipe";
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  Fd reader(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  Open(path);
  for (int i = 0; i < 20000; ++i) log::Info("{}", std::string(100, 'x'));
  std::atomic<bool> closed = false;
  std::thread closer([&] {
    log::Close();
    closed = true;
  });
  EXPECT_TRUE(Eventually([&] { return closed.load(); }, std::chrono::seconds(10)));
  // Let the threads go in any case, so that this test ends.
  std::string block(65536, '\0');
  while (!closed) (void)!::read(reader.get(), block.data(), block.size());
  closer.join();
}

TEST_F(Log, LinesBeforeItIsOpenGoToStandardError) {
  testing::internal::CaptureStderr();
  log::Error("too early for the log");
  EXPECT_NE(testing::internal::GetCapturedStderr().find("too early for the log"),
            std::string::npos);
}

std::string UtcNow() {
  // Not time(2), whose clock is some milliseconds behind.
  const time_t now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
  tm utc = {};
  ::gmtime_r(&now, &utc);
  char text[32];
  ::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &utc);
  return text;
}

TEST_F(Log, ALastLineGoesPastTheQueueInTheFormOfTheLogAndToStandardError) {
  for (bool json : {false, true}) {
    const std::string path = folder_ / (json ? "json" : "text");
    Open(path, json);
    testing::internal::CaptureStderr();
    const std::string before = UtcNow();
    log::LastLine("SIGSEGV in hook timeout");  // nothing is waited for
    const std::string after = UtcNow();
    EXPECT_EQ(testing::internal::GetCapturedStderr(), "rum: SIGSEGV in hook timeout\n");
    auto lines = LinesOf(path);
    ASSERT_EQ(lines.size(), 1u);
    std::string time = lines[0].substr(0, 29);
    if (json) {
      auto line = nlohmann::json::parse(lines[0]);
      EXPECT_EQ(line["level"], "error");
      EXPECT_EQ(line["message"], "SIGSEGV in hook timeout");
      time = line["time"];
    } else {
      EXPECT_EQ(lines[0].substr(29), " error SIGSEGV in hook timeout");
    }
    ASSERT_EQ(time.size(), 29u);
    EXPECT_GE(time.substr(0, 19), before);
    EXPECT_LE(time.substr(0, 19), after);
    EXPECT_EQ(time[19], '.');
    EXPECT_EQ(time.substr(23), "+00:00");
    log::Close();
  }
}

TEST_F(Log, ALastLineGoesToTheFileThatWasOpenedAnew) {
  Open(folder_ / "log");
  ASSERT_EQ(::rename((folder_ / "log").c_str(), (folder_ / "old").c_str()), 0);
  log::Reopen();
  log::Info("behind it");
  ASSERT_TRUE(Reaches(folder_ / "log", "behind it"));
  testing::internal::CaptureStderr();
  ASSERT_TRUE(Eventually([&] {  // told a moment after the line was written
    log::LastLine("the last");
    return Contents(folder_ / "log").find("the last") != std::string::npos;
  }));
  (void)testing::internal::GetCapturedStderr();
}

TEST_F(Log, ALastLineIsSaidOnceWhereTheLogIsStandardError) {
  testing::internal::CaptureStderr();
  Open("stderr");
  log::LastLine("the last");
  log::Close();
  log::LastLine("and behind it");
  const std::string text = testing::internal::GetCapturedStderr();
  EXPECT_EQ(text.substr(29), " error the last\nrum: and behind it\n");
}

TEST_F(Log, LetsGoOfItsFileWhenItIsClosed) {
  size_t before = test::OpenDescriptors();
  Open(folder_ / "log");
  log::Info("line");
  log::Close();
  EXPECT_EQ(test::OpenDescriptors(), before);
}

TEST_F(Log, TakesLinesFromManyThreadsEachWhole) {
  Open(folder_ / "log");
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([t] {
      for (int i = 0; i < 500; ++i) log::Info("thread {} line {} {}", t, i, std::string(50, 'z'));
    });
  }
  for (auto& thread : threads) thread.join();
  log::Close();
  auto lines = LinesOf(folder_ / "log");
  ASSERT_EQ(lines.size(), 2000u);
  for (const std::string& line : lines) EXPECT_TRUE(line.ends_with(std::string(50, 'z'))) << line;
}

TEST_F(Log, CountsAreReadAndLinesWrittenWhileItCloses) {
  Open(folder_ / "log");
  std::atomic<bool> stop = false;
  std::thread other([&] {
    while (!stop) {
      log::Info("still here");
      log::Dropped();
    }
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  // Lines that come after Close go to stderr, which is not to be seen here.
  Fd null(::open("/dev/null", O_WRONLY | O_CLOEXEC));
  Fd saved(::dup(STDERR_FILENO));
  ::dup2(null.get(), STDERR_FILENO);
  log::Close();
  stop = true;
  other.join();
  ::dup2(saved.get(), STDERR_FILENO);
}

// -- what is said again ---------------------------------------------------------------------------

using Repeats = log::Repeats;
using namespace std::chrono_literals;

TEST(Repeats, TheFirstIsWrittenAndTheOthersAreCounted) {
  Repeats repeats;
  Repeats::Time now{};
  EXPECT_TRUE(repeats.Pass(now, 0, "a"));
  EXPECT_FALSE(repeats.next()) << "nothing came again";
  for (int i = 0; i < 412; ++i) EXPECT_FALSE(repeats.Pass(now + 1s, 0, "a"));
  EXPECT_TRUE(repeats.Pass(now + 1s, 1, "b"));
  EXPECT_EQ(*repeats.next(), now + Repeats::kSpan);
  EXPECT_TRUE(repeats.Take(now + 9s).empty());
  auto over = repeats.Take(now + 10s);
  ASSERT_EQ(over.size(), 1u);
  EXPECT_EQ(over[0].text, "a");
  EXPECT_EQ(over[0].more, 412u);
  EXPECT_TRUE(repeats.Pass(now + 10s, 0, "a")) << "the next one is a first again";
  EXPECT_FALSE(repeats.Pass(now + 10s, 1, "b"));
  EXPECT_EQ(repeats.Take(now + 10s, true).size(), 1u) << "at the end nothing is kept back";
  EXPECT_TRUE(repeats.Pass(now + 10s, 0, "a"));
}

TEST(Repeats, RemembersABoundedNumberOfTexts) {
  Repeats repeats;
  Repeats::Time now{};
  for (size_t i = 0; i < 10 * Repeats::kMost; ++i) {
    EXPECT_TRUE(repeats.Pass(now, 0, std::to_string(i)));
  }
  EXPECT_FALSE(repeats.Pass(now, 0, "0"));
  EXPECT_TRUE(repeats.Pass(now, 0, std::to_string(5 * Repeats::kMost))) << "not remembered";
  repeats.Take(now + 10s);
  EXPECT_TRUE(repeats.Pass(now + 10s, 0, "0"));
}

TEST_F(Log, WhatGoesWrongAgainAndAgainIsGatheredWhatHappensIsNot) {
  for (bool json : {false, true}) {
    std::string path = folder_ / (json ? "json" : "text");
    Open(path, json);
    for (int i = 0; i < 100; ++i) log::Error("the \"disk\" is full");
    for (int i = 0; i < 3; ++i) log::Info("a line");
    log::Close();
    auto lines = LinesOf(path);
    ASSERT_EQ(lines.size(), 5u);
    EXPECT_TRUE(lines[0].find("full") != std::string::npos);
    for (size_t i : {1, 2, 3}) EXPECT_TRUE(lines[i].find("a line") != std::string::npos);
    if (json) {
      auto last = nlohmann::json::parse(lines[4]);
      EXPECT_EQ(last["message"], "the \"disk\" is full (99 more in 10s)");
      EXPECT_EQ(last["level"], "error");
    } else {
      EXPECT_TRUE(lines[4].ends_with("error the \"disk\" is full (99 more in 10s)")) << lines[4];
    }
  }
}

}  // namespace
}  // namespace rum
