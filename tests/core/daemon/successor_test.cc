#include "daemon/successor.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <filesystem>
#include <optional>
#include <string>

#include "daemon/background.h"
#include "support/folder.h"

namespace rum {
namespace {

// Runs a shell script as the new process; returns how that ended, empty for ready.
std::string Outcome(const std::string& script, Millis timeout = Successor::kTimeout) {
  event_base* base = event_base_new();
  std::optional<std::string> outcome;
  auto successor = Successor::Start(
      base, {"/bin/sh", {"sh", "-c", script}}, {},
      [&](const std::string& failed) {
        outcome = failed;
        event_base_loopbreak(base);
      },
      timeout);
  EXPECT_TRUE(successor.ok()) << successor.error().text;
  if (successor) event_base_dispatch(base);
  if (successor) successor->reset();
  event_base_free(base);
  return outcome.value_or("nothing came of it");
}

// What finds the descriptor in the note: "ready:7,stderr:8".
const std::string kReady = "r=${RUM_HANDOVER#ready:}; r=${r%%,*}; ";

TEST(Successor, IsReadyWhenItWritesAZero) {
  EXPECT_EQ(Outcome(kReady + "printf '\\0' >/proc/self/fd/$r"), "");
}

TEST(Successor, TellsWhyItFailed) {
  EXPECT_EQ(Outcome(kReady + "printf '\\003rum: one\\nrum: two\\n' >/proc/self/fd/$r"), "one; two");
}

TEST(Successor, ThatEndsIsToldWithTheLastLineThatItSaid) {
  EXPECT_EQ(Outcome("echo first >&2; printf 'sec\\033ond\\n\\n' >&2; exit 7"),
            "it exited with status 7 before it was ready: sec\\x1bond");
  EXPECT_EQ(Outcome("exit 0"), "it exited with status 0 before it was ready");
  EXPECT_EQ(Outcome("kill -SEGV $$"), "it was killed by signal 11 before it was ready");
}

TEST(Successor, ThatSaysTooMuchIsCut) {
  std::string why =
      Outcome("i=0; while [ $i -lt 20000 ]; do printf 0123456789 >&2; i=$((i+1)); done");
  EXPECT_TRUE(why.starts_with("it exited with status 0 before it was ready: ")) << why;
  EXPECT_LT(why.size(), 500u);
}

TEST(Successor, IsEndedWhenItTakesTooLong) {
  EXPECT_EQ(Outcome("echo still here >&2; exec sleep 3600", Millis(500)),
            "it was not ready in time: still here");
}

TEST(Successor, IsEndedWhenItIsGivenUp) {
  event_base* base = event_base_new();
  auto successor = Successor::Start(base, {"/bin/sh", {"sh", "-c", "exec sleep 3600"}}, {},
                                    [](const std::string&) { FAIL(); });
  ASSERT_TRUE(successor.ok());
  pid_t pid = (*successor)->pid();
  successor->reset();
  EXPECT_NE(::kill(pid, 0), 0);
  event_base_free(base);
}

TEST(Successor, ThatIsNotThereIsToldAtOnce) {
  event_base* base = event_base_new();
  auto successor =
      Successor::Start(base, {"/nowhere/rum", {"rum"}}, {}, [](const std::string&) { FAIL(); });
  ASSERT_FALSE(successor.ok());
  EXPECT_EQ(successor.error().text, "'/nowhere/rum' cannot be started: No such file or directory");
  event_base_free(base);
}

// A shell that forks as rum does: its child is the new process, and belongs to this test.
std::string Detached(const std::string& child) {
  std::string script = kReady + "(" + child + ") & printf '%d\\n' $! >/proc/self/fd/$r; ";
  return script + "exec sleep 3600 >/dev/null 2>&1";
}

TEST(Successor, MayForkAndIsThenKnownByItsReport) {
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  EXPECT_EQ(Outcome(Detached("sleep 0.2; printf '\\0' >/proc/self/fd/$r")), "");
  EXPECT_EQ(Outcome(Detached("sleep 0.2; printf '\\003rum: one\\n' >/proc/self/fd/$r")), "one");
  EXPECT_EQ(Outcome(Detached("sleep 0.2; echo why >&2")), "it ended before it was ready: why");
  EXPECT_EQ(Outcome(Detached("echo still here >&2; exec sleep 3600"), Millis(700)),
            "it was not ready in time: still here");
  while (::waitpid(-1, nullptr, 0) > 0) {  // hangs if one is left that sleeps
  }
  ::prctl(PR_SET_CHILD_SUBREAPER, 0);
}

TEST(Program, IsFoundAsItWasStarted) {
  std::string name = "sh", relative = "./no-such-program", absolute = "/bin/sh";
  char* by_path[] = {name.data(), nullptr};
  EXPECT_TRUE(ThisProgram(1, by_path).path.ends_with("/sh"));
  char* by_name[] = {absolute.data(), nullptr};
  EXPECT_EQ(ThisProgram(1, by_name).path, "/bin/sh");
  char* wrong[] = {relative.data(), nullptr};
  EXPECT_NE(ThisProgram(1, wrong).path.find("daemon_test"), std::string::npos)
      << "what runs, when the name is not true";
}

TEST(Pidfile, IsRemovedOnlyWhileItIsOurs) {
  test::Folder folder;
  std::string path = folder / "pid";
  auto text = [&] {
    FILE* file = std::fopen(path.c_str(), "re");
    int number = 0;
    if (file) {
      (void)!std::fscanf(file, "%d", &number);
      std::fclose(file);
    }
    return number;
  };
  auto write = [&](const char* number) {
    FILE* file = std::fopen(path.c_str(), "we");
    std::fputs(number, file);
    std::fclose(file);
  };
  {
    auto file = Pidfile::Write(path);
    ASSERT_TRUE(file.ok());
    EXPECT_EQ(text(), ::getpid());
    write("1\n");
    file->Restore();
    EXPECT_EQ(text(), ::getpid()) << "one that could not take over has written it";
  }
  EXPECT_EQ(text(), 0);
  {
    auto file = Pidfile::Write(path);
    ASSERT_TRUE(file.ok());
    write("1\n");
  }
  EXPECT_EQ(text(), 1) << "it belongs to the process that has taken over";
}

// Two that have opened the file each are as two processes.
TEST(Pidfile, BelongsToOneProcessThatServes) {
  test::Folder folder;
  std::string path = folder / "pid";
  {
    auto first = Pidfile::Write(path);
    ASSERT_TRUE(first.ok());
    auto second = Pidfile::Write(path);
    ASSERT_FALSE(second.ok());
    EXPECT_EQ(second.error().text, "the pidfile '" + path + "' belongs to another process, " +
                                       std::to_string(::getpid()) +
                                       ", which is running: give each process its own file");
    EXPECT_EQ(second.error().fault, Fault::kSystem);
    first->Release(false);
    EXPECT_TRUE(Pidfile::Write(path).ok()) << "the first one is draining";
  }
  EXPECT_FALSE(std::filesystem::exists(path));
  EXPECT_FALSE(std::filesystem::exists(path + ".lock"));
  {  // left behind, and longer than what is written
    std::FILE* file = std::fopen(path.c_str(), "we");
    std::fputs("999999999999 and more\n", file);
    std::fclose(file);
  }
  EXPECT_TRUE(Pidfile::Write(path).ok());
  EXPECT_TRUE(Pidfile::Write("/dev/null").ok());
  auto null = Pidfile::Write("/dev/null"), again = Pidfile::Write("/dev/null");
  EXPECT_TRUE(null.ok() && again.ok()) << "no file, no lock";
}

TEST(Pidfile, PassesItsLockOn) {
  test::Folder folder;
  std::string path = folder / "pid";
  std::optional<Pidfile> old(std::move(*Pidfile::Write(path)));
  {
    auto next = Pidfile::Write(path, Fd(::dup(old->lock())));
    ASSERT_TRUE(next.ok()) << next.error().text;
    old->Release(true);
    EXPECT_FALSE(Pidfile::Write(path).ok()) << "the next one has it";
    EXPECT_GE(next->lock(), 0);
  }
  EXPECT_TRUE(Pidfile::Write(path).ok());
  // Another file than the one that is passed on.
  auto one = Pidfile::Write(path), other = Pidfile::Write(folder / "other", Fd(::dup(one->lock())));
  ASSERT_TRUE(other.ok());
  EXPECT_FALSE(Pidfile::Write(folder / "other").ok());
  // What a process that could not take over has removed is written, and locked, again.
  ASSERT_EQ(::unlink(path.c_str()), 0);
  one->Restore();
  EXPECT_TRUE(std::filesystem::exists(path));
  EXPECT_FALSE(Pidfile::Write(path).ok());
}

}  // namespace
}  // namespace rum
