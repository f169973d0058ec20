#include "check/tries.h"

#include <dirent.h>
#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <map>

#include "base/clock.h"
#include "check/host_table.h"
#include "check/isolated_run.h"
#include "check/rules.h"

namespace rum {
namespace {

constexpr int kWarmUps = 3;  // repetitions that fill caches and pools
// Only growth in each repetition is a leak: a table of 64 parts, each allocated at first use, is
// none. Slow tries are repeated fewer times.
constexpr int kRepetitions = 200, kRepetitionsLeast = 20;
constexpr uint64_t kFailedMost = 50, kHungMost = 3;  // more would only take time
constexpr size_t kDifferentMost = 5;                 // failures that are reported
constexpr size_t kScriptLines = 120;
constexpr int kPostRounds = 16;  // a job may post the next one
constexpr uint64_t kMemoryMost = uint64_t{1} << 30;
constexpr size_t kViolationsMost = 1000;  // a hook that continues after so many never returns

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;  // needs much memory, and finds leaks itself
#else
constexpr bool kSanitized = false;
#endif

// The kinds of deeds that were reached; each try adds to the counters of the board.
struct Reached {
  Deed::Kind kind;
  const char* word;
};
constexpr Reached kReached[] = {
    {Deed::Kind::kSend, "send"},       {Deed::Kind::kLookup, "lookup"},
    {Deed::Kind::kConnect, "connect"}, {Deed::Kind::kStartTls, "start_tls"},
    {Deed::Kind::kPause, "pause"},     {Deed::Kind::kTimer, "timer"},
    {Deed::Kind::kAdmit, "admit"},     {Deed::Kind::kConfirm, "confirm"},
    {Deed::Kind::kRelay, "relay"},     {Deed::Kind::kRelayFrom, "relay_from"},
    {Deed::Kind::kPart, "part"},       {Deed::Kind::kKeep, "keep"},
};
constexpr size_t kSessionsCounter = 40, kRefusedCounter = 41;

// -- in the child ---------------------------------------------------------------------------------

size_t MemoryInUse() {
#if defined(__GLIBC__) && (__GLIBC__ > 2 || __GLIBC_MINOR__ >= 33)
  struct mallinfo2 info = ::mallinfo2();
  return info.uordblks + info.hblkhd;
#else
  return 0;
#endif
}

size_t Descriptors() {
  size_t count = 0;
  DIR* folder = ::opendir("/proc/self/fd");
  while (folder && ::readdir(folder)) ++count;
  if (folder) ::closedir(folder);
  return count;
}

void Report(const std::string& sentence) { board().report.Append(sentence + "\n"); }

// A hook that breaks rules in an endless loop would never return.
void OnViolation(const std::string& text) {
  static size_t count = 0;
  if (count++ == 0) Report(WithRule(text));
  if (count < kViolationsMost) return;
  board().finished = true;
  ::_exit(0);
}

// Repeats the try in the same host. False: it failed in a way that the first play did not.
bool Repeat(ScriptedHost& host, const TryMaterial& material, uint64_t seed, uint64_t number) {
  {
    Conversation again(host, material, seed, number, nullptr);
    again.Options();
    if (!again.Play().empty() || !host.violations().empty()) return false;
  }
  // Jobs that sessions have posted would look like memory that is never freed.
  for (int i = 0; i < kPostRounds && host.RunWorker(); ++i) {
  }
  if (!host.violations().empty()) return false;
  host.ForgetDeeds();
  ++board().beat;
  return true;
}

// Memory that grows with every one of many repetitions is never freed. The allocator caches a few
// freed pieces of each size, which look like memory in use: the first repetitions only raise
// suspicion.
void LookForLeaks(ScriptedHost& host, const TryMaterial& material, const TrySettings& settings,
                  uint64_t number) {
  size_t memory = 0, descriptors = 0, first_memory = 0;
  int grown = 0, opened = 0;  // consecutive repetitions
  uint64_t millis = settings.limit_millis ? settings.limit_millis / 2 : 1000;
  std::clock_t enough = std::clock() + static_cast<std::clock_t>(millis * (CLOCKS_PER_SEC / 1000));
  for (int i = 0; i < kWarmUps + kRepetitions; ++i) {
    if (std::clock() > enough) {
      if (i < kWarmUps + kRepetitionsLeast) return;
      break;
    }
    if (!Repeat(host, material, settings.seed, number)) return;
    size_t memory_now = MemoryInUse(), descriptors_now = Descriptors();
    grown = i > 0 && memory_now > memory ? grown + 1 : 0;
    opened = i > 0 && descriptors_now > descriptors ? opened + 1 : 0;
    if (grown == 0) first_memory = memory_now;
    memory = memory_now;
    descriptors = descriptors_now;
    if (i >= kWarmUps && grown == 0 && opened == 0) return;
  }
  if (grown > 0) {
    size_t each = (memory - first_memory) / static_cast<size_t>(grown);
    Report("memory in use grows by about " + std::to_string(each) +
           " bytes with each repetition of these sessions (session_close: the last hook: free "
           "`data`)");
  }
  if (opened > 0) {
    Report(
        "each repetition of these sessions leaves descriptors open (session_close: the last hook)");
  }
}

void TryOnce(const TryMaterial& material, const TrySettings& settings, uint64_t number) {
  ScriptedHost::NameHook("init");
  auto module = settings.load();
  ScriptedHost::NameHook("");
  if (!module) {
    ++board().counters[kRefusedCounter];
    return Report("the module is refused: " + module.error().text);
  }
  host_table::on_violation = OnViolation;
  ScriptedHost host(**module);
  auto write = [](std::string_view text) { board().script.Append(text); };
  std::string wrong;
  {
    Conversation first(host, material, settings.seed, number, write);
    if (Status started = host.Start(first.Options()); !started) {
      if (Status plain = host.Start(material.options); !plain) {
        ++board().counters[kRefusedCounter];
        return Report("the module did not start: " + plain.error().text +
                      "; options of the module are given by --option NAME=VALUE");
      }
    }
    wrong = first.Play();
  }
  for (const Deed& deed : host.deeds()) {
    ++board().counters[static_cast<size_t>(deed.kind)];
    if (deed.kind == Deed::Kind::kClose) ++board().counters[kSessionsCounter];
  }
  if (!wrong.empty()) Report(wrong);
  if (!wrong.empty() || !host.violations().empty()) return;
  host.ForgetDeeds();
  ++board().beat;
  if (!kSanitized) LookForLeaks(host, material, settings, number);
}

// -- in the parent --------------------------------------------------------------------------------

// Prints the beginning and the end of a long script.
void PrintScript(const std::string& script, bool whole) {
  std::vector<std::string_view> lines;
  for (std::string_view rest = script; !rest.empty();) {
    size_t end = rest.find('\n');
    lines.push_back(rest.substr(0, end));
    rest.remove_prefix(end == rest.npos ? rest.size() : end + 1);
  }
  size_t skip_from = lines.size(), skip_to = lines.size();
  if (!whole && lines.size() > kScriptLines) {
    skip_from = kScriptLines / 4;
    skip_to = lines.size() - (kScriptLines - skip_from);
  }
  for (size_t i = 0; i < lines.size(); ++i) {
    if (i == skip_from) std::printf("    # %zu lines are left out here\n", skip_to - skip_from);
    if (i >= skip_from && i < skip_to) continue;
    bool cut = !whole && lines[i].size() > 300;
    std::printf("    %.*s%s\n", static_cast<int>(cut ? 300 : lines[i].size()), lines[i].data(),
                cut ? " # ..." : "");
  }
}

// Sentences of the same failure differ only in their numbers.
std::string Kind(const std::string& sentence) {
  std::string kind;
  for (char c : sentence.substr(0, sentence.find('\n'))) {
    if (c < '0' || c > '9') kind.push_back(c);
  }
  return kind;
}

class Tries {
 public:
  Tries(const TryMaterial& material, const TrySettings& settings)
      : material_(material), settings_(settings), begin_(NowMillis()) {}

  bool Run() {
    uint64_t first = settings_.only.value_or(1);
    uint64_t last = settings_.only.value_or(settings_.tries);
    for (uint64_t number = first; number <= last && !Over(); ++number) {
      Progress(number - 1);
      One(number);
    }
    ClearProgress();
    if (!settings_.quiet && !refused_) Summary();
    return failed_ == 0;
  }

 private:
  bool Over() const {
    if (refused_ || kinds_.size() >= kDifferentMost || failed_ >= kFailedMost) return true;
    if (hung_ >= kHungMost) return true;
    return settings_.seconds && NowMillis() - begin_ >= settings_.seconds * 1000;
  }

  void One(uint64_t number) {
    RunLimits limits{.wall_millis = settings_.limit_millis * 5,
                     .cpu_millis = settings_.limit_millis,
                     .memory = kSanitized ? 0 : kMemoryMost,
                     .core_file = settings_.only.has_value()};
    RunEnd end = RunIsolated([&] { TryOnce(material_, settings_, number); }, limits);
    ++done_;
    hung_ += end.kind == RunEnd::Kind::kHung;
    std::string report = board().report.Text();
    if (std::string sentence = end.Sentence(); !sentence.empty()) report += sentence + "\n";
    bool whole = settings_.only.has_value();
    refused_ = board().counters[kRefusedCounter] > 0;
    if (report.empty()) {
      if (whole) PrintScript(board().script.Text(), whole);
      return;
    }
    ++failed_;
    if (kinds_[Kind(report)]++ > 0) return;
    ClearProgress();
    std::printf("try %llu: %s", static_cast<unsigned long long>(number), report.c_str());
    if (refused_) return;
    std::printf("  again by: %s --seed %llu --try %llu\n  what happened:\n",
                settings_.again.c_str(), static_cast<unsigned long long>(settings_.seed),
                static_cast<unsigned long long>(number));
    PrintScript(board().script.Text(), whole);
    std::fflush(stdout);
  }

  void Progress(uint64_t done) {
    uint64_t now = NowMillis();
    if (settings_.quiet || now - shown_ < 200 || !::isatty(STDERR_FILENO)) return;
    shown_ = now;
    std::fprintf(
        stderr, "\r  %llu of %llu tries, %llu failed ", static_cast<unsigned long long>(done),
        static_cast<unsigned long long>(settings_.tries), static_cast<unsigned long long>(failed_));
    std::fflush(stderr);
  }

  void ClearProgress() {
    if (shown_) std::fprintf(stderr, "\r\033[K");
    shown_ = 0;
  }

  void Summary() {
    const auto& counters = board().counters;
    std::string reached, never;
    for (const Reached& one : kReached) {
      uint64_t count = counters[static_cast<size_t>(one.kind)];
      std::string& list = count ? reached : never;
      list += (list.empty() ? "" : ", ") + std::string(one.word);
      if (count) list += " " + std::to_string(count);
    }
    std::printf("%s: %llu tries, %llu sessions, %.1f s, seed %llu\n", failed_ ? "FAILED" : "ok",
                static_cast<unsigned long long>(done_),
                static_cast<unsigned long long>(counters[kSessionsCounter]),
                static_cast<double>(NowMillis() - begin_) / 1000,
                static_cast<unsigned long long>(settings_.seed));
    if (failed_) {
      std::printf("  failed: %llu tries, %zu different reports\n",
                  static_cast<unsigned long long>(failed_), kinds_.size());
    }
    std::printf("  reached: %s\n", reached.empty() ? "nothing" : reached.c_str());
    if (never.empty()) return;
    std::printf("  never reached: %s%s\n", never.c_str(),
                material_.transcripts.empty() ? " (more is reached with --samples)" : "");
  }

  const TryMaterial& material_;
  const TrySettings& settings_;
  uint64_t begin_;
  uint64_t shown_ = 0;  // when progress was last shown; 0: do not show it
  uint64_t done_ = 0;
  uint64_t failed_ = 0;
  uint64_t hung_ = 0;
  bool refused_ = false;
  std::map<std::string, uint64_t> kinds_;
};

}  // namespace

bool RunTries(const TryMaterial& material, const TrySettings& settings) {
  for (auto& counter : board().counters) counter = 0;
  return Tries(material, settings).Run();
}

}  // namespace rum
