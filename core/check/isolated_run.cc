#include "check/isolated_run.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>

#include "check/scripted_host.h"

namespace rum {
namespace {

// Of a clock that cannot be read: 0.
uint64_t Millis(clockid_t clock) {
  timespec now = {};
  ::clock_gettime(clock, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1000 + static_cast<uint64_t>(now.tv_nsec) / 1'000'000;
}

void SetLimit(decltype(RLIMIT_CPU) what, uint64_t soft, uint64_t hard) {
  rlimit old = {};
  ::getrlimit(what, &old);
  rlimit limit = {.rlim_cur = soft, .rlim_max = hard};
  if (old.rlim_max != RLIM_INFINITY && limit.rlim_max > old.rlim_max) limit.rlim_max = old.rlim_max;
  if (limit.rlim_cur > limit.rlim_max) limit.rlim_cur = limit.rlim_max;
  ::setrlimit(what, &limit);
}

[[noreturn]] void BeChild(const std::function<void()>& work, const RunLimits& limits) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (limits.memory) SetLimit(RLIMIT_DATA, limits.memory, limits.memory);
  if (!limits.core_file) SetLimit(RLIMIT_CORE, 0, 0);
  work();
  board().finished = true;
  std::fflush(nullptr);
  std::exit(0);  // a leak sanitizer checks here
}

// Waits for the child to end, and kills it at a time limit. True: it was killed.
bool Wait(pid_t child, const sigset_t& ends, const RunLimits& limits, int* status) {
  clockid_t cpu = CLOCK_MONOTONIC;
  bool cpu_known = ::clock_getcpuclockid(child, &cpu) == 0;
  uint64_t beat = board().beat, wall_begin = Millis(CLOCK_MONOTONIC), cpu_begin = 0;
  bool killed = false;
  for (;;) {
    pid_t got = ::waitpid(child, status, WNOHANG);
    if (got != 0) return killed;
    uint64_t wall_now = Millis(CLOCK_MONOTONIC), cpu_now = cpu_known ? Millis(cpu) : 0;
    if (beat != board().beat) {
      beat = board().beat;
      wall_begin = wall_now;
      cpu_begin = cpu_now;
    }
    bool over = (limits.wall_millis && wall_now - wall_begin >= limits.wall_millis) ||
                (limits.cpu_millis && cpu_now >= cpu_begin + limits.cpu_millis);
    if (over && !killed) {
      killed = true;
      ::kill(child, SIGKILL);
    }
    timespec nap = {.tv_sec = 0, .tv_nsec = 50'000'000};
    ::sigtimedwait(&ends, nullptr, &nap);
  }
}

}  // namespace

Board& board() {
  static Board* one = [] {
    void* memory = ::mmap(nullptr, sizeof(Board), PROT_READ | PROT_WRITE,
                          MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    return static_cast<Board*>(memory);  // a zeroed Board is valid
  }();
  return *one;
}

RunEnd RunIsolated(const std::function<void()>& work, const RunLimits& limits) {
  Board& shared = board();
  shared.finished = false;
  shared.place.Clear();
  shared.report.Clear();
  shared.script.Clear();
  std::fflush(nullptr);
  sigset_t ends, before;
  sigemptyset(&ends);
  sigaddset(&ends, SIGCHLD);
  ::sigprocmask(SIG_BLOCK, &ends, &before);
  pid_t child = ::fork();
  if (child == 0) {
    ::sigprocmask(SIG_SETMASK, &before, nullptr);
    BeChild(work, limits);
  }
  if (child < 0) {
    ::sigprocmask(SIG_SETMASK, &before, nullptr);
    return {.kind = RunEnd::Kind::kCannotStart, .number = errno, .hook = {}};
  }
  int status = 0;
  bool killed = Wait(child, ends, limits, &status);
  ::sigprocmask(SIG_SETMASK, &before, nullptr);
  RunEnd end{.kind = RunEnd::Kind::kFinished, .number = 0, .hook = ScriptedHost::running_hook()};
  if (WIFSIGNALED(status)) {
    end.number = WTERMSIG(status);
    end.kind = killed ? RunEnd::Kind::kHung : RunEnd::Kind::kSignal;
  } else {
    end.number = WEXITSTATUS(status);
    end.kind = RunEnd::Kind::kExited;
  }
  if (shared.finished && end.kind != RunEnd::Kind::kHung) {
    bool well = end.kind == RunEnd::Kind::kExited && end.number == 0;
    end.kind = well ? RunEnd::Kind::kFinished : RunEnd::Kind::kEndedBadly;
  }
  return end;
}

std::string RunEnd::Sentence() const {
  std::string where = hook.empty() ? "outside of all hooks" : "within " + hook;
  std::string status = std::to_string(number);
  switch (kind) {
    case Kind::kFinished:
      return "";
    case Kind::kExited:
      return "the process was ended by exit(" + status + ") " + where +
             " (rule 7: no exit() crosses this border)";
    case Kind::kSignal:
      return "the process was ended by a signal " + where + ": " + ::strsignal(number) +
             " (rule 7: a crash of a module ends all sessions)";
    case Kind::kHung:
      if (hook.empty()) {
        return "the sessions did not end in time, and no hook was running (--limit gives more "
               "time)";
      }
      return "the module did not return in time from " + hook +
             " (a hook that waits holds up all sessions of its worker; see pause())";
    case Kind::kEndedBadly:
      return "the process did not end well after the last hook, by status or signal " + status +
             ": a destructor, a function of atexit(), or a sanitizer that found something";
    case Kind::kCannotStart:
      return std::string("no process can be started: ") + std::strerror(number);
  }
  return "";
}

}  // namespace rum
