// How work in a process of its own ends, and what is said of it.
#include "check/isolated_run.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#include <ctime>

#include "check/scripted_host.h"

namespace rum {
namespace {

using Kind = RunEnd::Kind;

// A report names the hook that ran; the work names one, as the scripted host does.
RunEnd RunWork(const std::function<void()>& work, const RunLimits& limits = {}) {
  ScriptedHost::NameHook("");
  return RunIsolated(
      [&] {
        ScriptedHost::NameHook("client_data");
        work();
        ScriptedHost::NameHook("");
      },
      limits);
}

TEST(IsolatedRun, BringsBackWhatTheWorkWrote) {
  RunEnd end = RunWork([] {
    board().report.Append("found");
    board().counters[3] = 7;
  });
  EXPECT_EQ(end.kind, Kind::kFinished);
  EXPECT_EQ(end.Sentence(), "");
  EXPECT_EQ(board().report.Text(), "found");
  EXPECT_EQ(board().counters[3], 7u);
}

TEST(IsolatedRun, TellsOfAnExitThatLooksLikeSuccess) {
  for (auto leave : {+[] { std::exit(0); }, +[] { ::_exit(0); }}) {
    RunEnd end = RunWork(leave);
    EXPECT_EQ(end.kind, Kind::kExited);
    EXPECT_NE(end.Sentence().find("exit(0) within client_data (rule 7"), std::string::npos)
        << end.Sentence();
  }
}

TEST(IsolatedRun, TellsOfASignal) {
  RunEnd end = RunWork([] { ::raise(SIGKILL); });
  EXPECT_EQ(end.kind, Kind::kSignal);
  EXPECT_EQ(end.number, SIGKILL);
  EXPECT_EQ(end.hook, "client_data");
}

TEST(IsolatedRun, KeepsWhatWasWrittenBeforeASignal) {
  RunWork([] {
    board().script.Append("open\n");
    ::raise(SIGKILL);
  });
  EXPECT_EQ(board().script.Text(), "open\n");
}

TEST(IsolatedRun, EndsWorkThatSleepsForEver) {
  RunEnd end = RunWork([] { ::pause(); }, {.wall_millis = 50});
  EXPECT_EQ(end.kind, Kind::kHung);
  EXPECT_NE(end.Sentence().find("did not return in time from client_data"), std::string::npos);
}

TEST(IsolatedRun, EndsWorkThatSpinsForEver) {
  RunEnd end = RunWork(
      [] {
        for (volatile int i = 1; i;) {
        }
      },
      {.cpu_millis = 100, .core_file = false});
  EXPECT_EQ(end.kind, Kind::kHung);
}

TEST(IsolatedRun, ABeatRestartsTheLimitOfCpuTime) {
  RunEnd end = RunWork(
      [] {
        // Four times the limit in all, a quarter of it between two beats.
        for (int beat = 0; beat < 16; ++beat, ++board().beat) {
          std::clock_t until = std::clock() + CLOCKS_PER_SEC / 20;
          while (std::clock() < until) {
          }
        }
      },
      {.cpu_millis = 200, .core_file = false});
  EXPECT_EQ(end.kind, Kind::kFinished);
}

TEST(IsolatedRun, SaysThatNoHookWasRunning) {
  RunEnd end{.kind = Kind::kHung, .number = SIGKILL, .hook = {}};
  EXPECT_EQ(end.Sentence(),
            "the sessions did not end in time, and no hook was running (--limit gives more time)");
}

TEST(IsolatedRun, TellsOfABadEndAfterTheWork) {
  RunEnd end = RunWork([] { std::atexit([] { ::_exit(9); }); });
  EXPECT_EQ(end.kind, Kind::kEndedBadly);
  EXPECT_EQ(end.number, 9);
}

TEST(IsolatedRun, LeavesOutWhatDoesNotFit) {
  RunWork([] {
    for (int i = 0; i < 5; ++i) board().place.Append(std::string(200, 'x'));
  });
  EXPECT_EQ(board().place.Text().size(), 512u);
}

}  // namespace
}  // namespace rum
