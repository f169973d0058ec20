// rum-check: runs a module against transcripts, without a network: whole, byte by byte, and cut at
// random places. Exit 0: all runs agree with all lines.
#include <signal.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "base/clock.h"
#include "check/module_table.h"
#include "check/player.h"
#include "check/scripted_host.h"
#include "check/transcript.h"
#include "config.h"
#include "module/loader.h"

namespace {

constexpr int kFailed = 1, kUsage = 2, kRefused = 5;

constexpr char kFooter[] = R"(A transcript says what the two peers do and what the module must do:

  option echo-mode = loud        # options of the module come first
  map "alice" = "tcp:db1:3306"   # the user map; without one: 'answer ...' lines
  client > "HELO alice\r\n"      # the client sends
  expect lookup "alice"          # the module asks the map
  expect connect "tcp:db1:3306"
  connect ok                     # or refused timeout failed unresolved no-resources
  upstream > "220 hi\r\n" 00ff   # text and hex
  expect client < "220 " ...     # ?? one byte, ??*8, ... the rest, $n:20 a capture, $n its use
  expect relay
  end client                     # end of file; 'reset client': the connection breaks
  expect end upstream            # the relay has passed it on
  end upstream
  expect close CLIENT            # a reason of rum/module.h without RUM_CLOSE_

Everything that the module sends, looks up, connects, relays, turns to TLS, identifies and
closes must be expected by a line, in this order; bytes of each side are a stream of their
own. An indented line continues the one before. All lines: rum-check(1).

Write the first transcript with --trace: it prints what the module did as such lines.

Exit status: 0 all holds, 1 something does not, 2 wrong usage or a transcript that cannot be
read, 5 the module is refused.)";

// -- what ends a module that hangs or crashes -----------------------------------------------------

void Write(const char* text) {
  if (::write(STDERR_FILENO, text, std::strlen(text)) < 0) return;
}

// Only calls that are safe in a signal handler.
void OnFatalSignal(int number) {
  Write("rum-check: ");
  Write(rum::LineBeingPlayed());
  Write(number == SIGALRM ? ": the module did not return in time from "
                          : ": the process was ended by a signal within ");
  const char* hook = rum::ScriptedHost::running_hook();
  Write(*hook ? hook : "no hook");
  Write("\n");
  if (number == SIGALRM) ::_exit(kFailed);
  ::signal(number, SIG_DFL);
  ::raise(number);
}

void WatchForSignals() {
  for (int number : {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGALRM}) {
    struct sigaction old = {};
    ::sigaction(number, nullptr, &old);
    if (old.sa_handler != SIG_DFL) continue;  // a sanitizer's is better than ours
    struct sigaction action = {};
    action.sa_handler = OnFatalSignal;
    ::sigaction(number, &action, nullptr);
  }
}

// -- the runs -------------------------------------------------------------------------------------

struct Settings {
  std::string module;
  std::vector<std::string> transcripts;
  uint64_t seed = 0;
  unsigned rounds = 20;
  std::string wait = "10s";
  std::string limit = "30s";
  bool trace = false;
  bool quiet = false;
};

void Describe(const rum_module& module) {
  std::printf("%s %s: %s\n", module.name, module.version ? module.version : "",
              module.summary ? module.summary : "");
  for (const rum_option& option : rum::ModuleOptions(module)) {
    std::printf("  option  --%s %s%s%s%s\n          %s\n", option.name,
                option.value ? option.value : "", option.default_value ? " (" : "",
                option.default_value ? option.default_value : "", option.default_value ? ")" : "",
                option.help);
  }
  for (const rum_metric& metric : rum::ModuleMetrics(module)) {
    std::printf("  metric  rum_%s_total\n          %s\n", metric.name, metric.help);
  }
}

bool Check(const rum_module& module, const rum::Transcript& transcript, const Settings& settings,
           const rum::PlayOptions& play, unsigned limit) {
  using Kind = rum::Cut::Kind;
  auto run = [&](rum::Cut cut, const std::string& how) {
    ::alarm(limit);
    auto report = rum::PlayTranscript(module, transcript, cut, play);
    ::alarm(0);
    if (report) std::printf("%s  in the run: %s\n", report->c_str(), how.c_str());
    return !report;
  };
  if (!run({Kind::kWhole, 0}, "whole")) return false;
  if (!run({Kind::kBytes, 0}, "byte by byte")) return false;
  for (unsigned i = 0; i < settings.rounds; ++i) {
    uint64_t seed = settings.seed + i;
    std::string how = "cut at random; again by: --seed " + std::to_string(seed) + " --rounds 1";
    if (!run({Kind::kRandom, seed}, how)) return false;
  }
  if (!settings.quiet) {
    std::printf("%s: ok, %u runs, seed %llu\n", transcript.file.c_str(), settings.rounds + 2,
                static_cast<unsigned long long>(settings.seed));
  }
  return true;
}

bool Trace(const rum_module& module, const rum::Transcript& transcript, unsigned limit,
           uint64_t wait_millis) {
  std::string trace;
  ::alarm(limit);
  auto report =
      rum::PlayTranscript(module, transcript, {}, {.wait_millis = wait_millis, .trace = &trace});
  ::alarm(0);
  std::printf("# %s\n%s", transcript.file.c_str(), trace.c_str());
  if (report) std::printf("%s", report->c_str());
  return !report;
}

int Run(const Settings& settings) {
  auto wait = rum::ParseDuration(settings.wait);
  auto limit = rum::ParseDuration(settings.limit);
  if (!wait || !limit) {
    std::fprintf(stderr, "rum-check: %s\n", (wait ? limit : wait).error().text.c_str());
    return kUsage;
  }
  auto seconds = static_cast<unsigned>((limit->count() + 999) / 1000);  // 0: none
  std::vector<rum::Transcript> transcripts;
  for (const std::string& path : settings.transcripts) {
    auto transcript = rum::ReadTranscriptFile(path);
    if (!transcript) {
      std::fprintf(stderr, "%s\n", transcript.error().text.c_str());
      return kUsage;
    }
    transcripts.push_back(std::move(*transcript));
  }
  WatchForSignals();
  ::alarm(seconds);
  auto module =
      rum::Module::Load(settings.module, rum::ModuleDirectory(""), rum::ScriptedHost::Table());
  ::alarm(0);
  if (!module) {
    std::fprintf(stderr, "rum-check: %s\n", module.error().text.c_str());
    return kRefused;
  }
  const rum_module& table = (*module)->table();
  rum::ScriptedHost::InitWasCalled(table);
  if (rum::Status rows = rum::CheckModuleRows(table); !rows) {
    std::fprintf(stderr, "rum-check: %s: %s\n", settings.module.c_str(), rows.error().text.c_str());
    return kRefused;
  }
  if (transcripts.empty()) Describe(table);
  bool fine = true;
  auto wait_millis = static_cast<uint64_t>(wait->count());
  for (const rum::Transcript& transcript : transcripts) {
    fine &= settings.trace
                ? Trace(table, transcript, seconds, wait_millis)
                : Check(table, transcript, settings, {.wait_millis = wait_millis}, seconds);
  }
  return fine ? 0 : kFailed;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app(
      "Runs a module of rum against transcripts, without a network: whole, byte by byte, "
      "and cut at random places. Without a transcript it shows what the module declares.",
      "rum-check");
  Settings settings;
  settings.seed = std::random_device()() % 1'000'000;
  app.add_option("module", settings.module,
                 "the module: ./mine.so, or the name of an installed one (passthrough.so)")
      ->required()
      ->type_name("MODULE");
  app.add_option("transcript", settings.transcripts, "transcripts to run")->type_name("TRANSCRIPT");
  app.add_option("--seed", settings.seed, "where the random cuts begin; printed by each run")
      ->type_name("N");
  app.add_option("--rounds", settings.rounds, "how many runs with random cuts [20]")
      ->type_name("N")
      ->check(CLI::Range(0u, 1'000'000u));
  app.add_option("--wait", settings.wait, "how long to wait for resume() of another thread [10s]")
      ->type_name("TIME");
  app.add_option("--limit", settings.limit, "how long one run may take, or off [30s]")
      ->type_name("TIME");
  app.add_flag("--trace", settings.trace, "run once, whole, and print what the module did");
  app.add_flag("-q,--quiet", settings.quiet, "print failures only");
  app.set_version_flag("--version", "rum-check " PACKAGE_VERSION);
  app.footer(kFooter);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kUsage;
  }
  return Run(settings);
}
