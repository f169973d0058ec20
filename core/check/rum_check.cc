// rum-check: runs a module against transcripts, without a network: whole, byte by byte, and cut at
// random places. Exit status 0: every line matched in every run.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/help_format.h"
#include "check/isolated_run.h"
#include "check/module_table.h"
#include "check/player.h"
#include "check/scripted_host.h"
#include "check/transcript.h"
#include "check/tries.h"
#include "config.h"
#include "module/loader.h"

namespace {

constexpr int kFailed = 1, kUsage = 2, kRefused = 5;
constexpr uint64_t kTries = 500;
constexpr size_t kSampleMost = 1024 * 1024;

constexpr char kFooter[] = R"(Examples:

  rum-check ./mine.so                         500 tries: any bytes, answers, ends, failures
  rum-check --tries 20000 ./mine.so           more of them; or --seconds 5m
  rum-check --samples corpus/ ./mine.so       tries that start from what a client sends
  rum-check --seed 7 --try 12 ./mine.so       one try again, with all that happened
  rum-check ./mine.so login.transcript        a dialogue, line by line
  rum-check --tries 2000 ./mine.so login.transcript   and what may go wrong in it

A transcript says what the two peers do and what the module must do:

  option echo-mode = loud        # options of the module come first
  map "alice" = "tcp:db1:3306"   # the user map; without one: 'answer ...' lines
  client > "HELO alice\r\n"      # the client sends
  expect lookup "alice"          # the module asks the map
  expect connect "tcp:db1:3306"
  connect ok                     # or refused timeout failed unresolved no-resources
  upstream > "220 hi\r\n" 00ff   # text and hex
  expect client < "220 " ...     # ?? one byte, ??*8, ... the rest, $n:20 a capture, $n its use
  expect relay
  client > "Q" len32+4{"select" 00}   # lengths: len8 to len64, len24le-1{...}
  session 2                      # the lines that follow are about another session
  end client                     # end of file; 'reset client': the connection breaks
  expect end upstream            # the relay has passed it on
  end upstream
  expect close CLIENT            # a reason of rum/module.h without RUM_CLOSE_

Everything that the module sends, looks up, connects, relays, switches to TLS, identifies and
closes must be expected by a line, in this order; the bytes of each side are a separate
stream. An indented line continues the previous one. All lines: rum-check(1).

Write the first transcript with --trace: it prints what the module did as such lines.

Exit status: 0 success, 1 a run failed, 2 wrong usage or a transcript that cannot be read, 5
the module is refused.)";

// -- the runs -------------------------------------------------------------------------------------

struct Settings {
  std::string module;
  std::vector<std::string> transcripts;
  uint64_t seed = 0;
  unsigned rounds = 20;
  std::string wait = "10s";
  std::optional<std::string> limit;
  std::vector<std::string> samples;
  std::vector<std::string> options;
  std::optional<uint64_t> tries;
  std::optional<uint64_t> only;
  std::string seconds = "0s";
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
           const rum::PlayOptions& play) {
  using Kind = rum::Cut::Kind;
  auto run = [&](rum::Cut cut, const std::string& how) {
    ++rum::board().beat;
    auto report = rum::PlayTranscript(module, transcript, cut, play);
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

bool Trace(const rum_module& module, const rum::Transcript& transcript, uint64_t wait_millis) {
  std::string trace;
  auto report =
      rum::PlayTranscript(module, transcript, {}, {.wait_millis = wait_millis, .trace = &trace});
  std::printf("# %s\n%s", transcript.file.c_str(), trace.c_str());
  if (report) std::printf("%s", report->c_str());
  return !report;
}

// [child] Reports all faults of a table.
rum::Result<const rum_module*> Load(const std::string& name) {
  static std::shared_ptr<const rum::Module> loaded;
  rum::ScriptedHost::NameHook("init");
  auto module = rum::Module::Load(name, rum::ModuleDirectory(""), rum::ScriptedHost::Table());
  rum::ScriptedHost::NameHook("");
  if (!module) return module.error();
  loaded = *module;
  rum::ScriptedHost::InitWasCalled(loaded->table());
  if (rum::Status rows = rum::CheckModuleRows(loaded->table()); !rows) {
    return rum::Error{rows.error().fault, name + ": " + rows.error().text};
  }
  return &loaded->table();
}

// The module is loaded in a child process for each transcript and each try: a module with threads
// would prevent further forks of a process that has loaded it, and its exit() would end the report,
// too. Returns the status for this program.
int RunChild(const std::function<bool(const rum_module&)>& work, const Settings& settings,
             uint64_t limit_millis) {
  enum { kLoaded, kFine };
  for (auto& counter : rum::board().counters) counter = 0;
  auto end = rum::RunIsolated(
      [&] {
        auto module = Load(settings.module);
        if (!module) {
          std::fprintf(stderr, "rum-check: %s\n", module.error().text.c_str());
          return;
        }
        rum::board().counters[kLoaded] = 1;
        rum::board().counters[kFine] = work(**module);
      },
      {.wall_millis = limit_millis});
  if (std::string sentence = end.Sentence(); !sentence.empty()) {
    std::string place = rum::board().place.Text();
    std::fprintf(stderr, "rum-check: %s%s%s\n", place.c_str(), place.empty() ? "" : ": ",
                 sentence.c_str());
    return rum::board().counters[kLoaded] ? kFailed : kRefused;
  }
  if (!rum::board().counters[kLoaded]) return kRefused;
  return rum::board().counters[kFine] ? 0 : kFailed;
}

// -- samples --------------------------------------------------------------------------------------

// What the sides send in a transcript, as raw material.
void AddSamples(const rum::Transcript& transcript, rum::TryMaterial* material) {
  for (const rum::TranscriptLine& line : transcript.lines) {
    if (line.word != rum::TranscriptLine::Word::kFeed) continue;
    auto bytes = rum::RenderPattern(line.pattern, {});
    if (bytes && !bytes->empty()) material->vocabulary.samples[line.side].push_back(*bytes);
  }
  material->transcripts.push_back(transcript);
}

// A transcript, the bytes of one side, or a folder of both.
rum::Status ReadSamples(const std::string& path, rum::TryMaterial* material) {
  namespace fs = std::filesystem;
  std::error_code error;
  std::vector<fs::path> files = {path};
  if (fs::is_directory(path, error)) {
    files.clear();
    for (const auto& entry : fs::directory_iterator(path, error)) {
      if (entry.is_regular_file()) files.push_back(entry.path());
    }
    std::sort(files.begin(), files.end());  // the same order everywhere, for a seed
  }
  for (const fs::path& file : files) {
    if (file.extension() == ".transcript") {
      auto transcript = rum::ReadTranscriptFile(file);
      if (!transcript) return transcript.error();
      AddSamples(*transcript, material);
      continue;
    }
    std::ifstream in(file, std::ios::binary);
    std::string bytes(kSampleMost, '\0');
    in.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    bytes.resize(static_cast<size_t>(in.gcount()));
    if (bytes.empty()) {
      return rum::Error{rum::Fault::kUsage, file.string() + ": is empty or cannot be read"};
    }
    for (auto& samples : material->vocabulary.samples) samples.push_back(bytes);
  }
  return rum::Ok();
}

// The command that repeats a try.
std::string Command(const Settings& settings) {
  std::string command = "rum-check " + settings.module;
  for (const std::string& path : settings.transcripts) command += " " + path;
  for (const std::string& path : settings.samples) command += " --samples " + path;
  for (const std::string& option : settings.options) command += " --option '" + option + "'";
  return command;
}

int RunAllTries(const Settings& settings, const std::vector<rum::Transcript>& transcripts,
                uint64_t limit_millis, uint64_t seconds) {
  rum::TryMaterial material;
  for (const rum::Transcript& transcript : transcripts) AddSamples(transcript, &material);
  for (const std::string& path : settings.samples) {
    if (rum::Status read = ReadSamples(path, &material); !read) {
      std::fprintf(stderr, "rum-check: %s\n", read.error().text.c_str());
      return kUsage;
    }
  }
  for (const std::string& option : settings.options) {
    size_t sign = option.find('=');
    material.options[option.substr(0, sign)] = sign == option.npos ? "1" : option.substr(sign + 1);
  }
  bool is_path = settings.module.find('/') != std::string::npos;
  material.vocabulary.words = rum::WordsOfFile(
      is_path ? settings.module : rum::ModuleDirectory("") + "/" + settings.module);
  rum::TrySettings tries;
  tries.again = Command(settings);
  tries.load = [&] { return Load(settings.module); };
  tries.seed = settings.seed;
  tries.tries = settings.tries.value_or(kTries);
  tries.seconds = seconds;
  tries.only = settings.only;
  tries.limit_millis = limit_millis;
  tries.quiet = settings.quiet;
  return rum::RunTries(material, tries) ? 0 : kFailed;
}

int Run(const Settings& settings) {
  rum::Result<std::chrono::milliseconds> times[] = {
      rum::ParseDuration(settings.wait), rum::ParseDuration(settings.limit.value_or("30s")),
      rum::ParseDuration(settings.limit.value_or("2s")), rum::ParseDuration(settings.seconds)};
  for (const auto& time : times) {
    if (time) continue;
    std::fprintf(stderr, "rum-check: %s\n", time.error().text.c_str());
    return kUsage;
  }
  auto millis = [&](int i) { return static_cast<uint64_t>(times[i]->count()); };
  std::vector<rum::Transcript> transcripts;
  for (const std::string& path : settings.transcripts) {
    auto transcript = rum::ReadTranscriptFile(path);
    if (!transcript) {
      std::fprintf(stderr, "%s\n", transcript.error().text.c_str());
      return kUsage;
    }
    transcripts.push_back(std::move(*transcript));
  }
  bool asked = settings.tries || settings.only || !settings.samples.empty();
  int status = 0;
  auto also = [&](int other) { status = std::max(status, other); };
  if (transcripts.empty() && !settings.only) {
    also(RunChild(
        [&](const rum_module& module) {
          if (!settings.quiet) Describe(module);
          return true;
        },
        settings, millis(1)));
  }
  for (const rum::Transcript& transcript : transcripts) {
    if (status == kRefused || settings.only) break;
    also(RunChild(
        [&](const rum_module& module) {
          return settings.trace ? Trace(module, transcript, millis(0))
                                : Check(module, transcript, settings, {.wait_millis = millis(0)});
        },
        settings, millis(1)));
  }
  bool none = settings.tries == uint64_t{0} && !settings.only;
  if (status == kRefused || none || (!transcripts.empty() && !asked)) return status;
  also(RunAllTries(settings, transcripts, millis(2), millis(3) / 1000));
  return status;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app(
      "Tests a module of rum without a network. Without a transcript it tries the module by "
      "itself, each try in a process of its own, and reports crashes, hangs, leaks and broken "
      "rules. With transcripts it plays them: whole, byte by byte, and cut at random places.",
      "rum-check");
  Settings settings;
  settings.seed = std::random_device()() % 1'000'000;
  app.add_option("MODULE", settings.module,
                 "the module: ./mine.so, or the name of an installed one (passthrough.so)")
      ->required();
  app.add_option("TRANSCRIPT", settings.transcripts, "transcripts to run");
  app.add_option("--seed", settings.seed, "seed of all random choices; each run prints it")
      ->type_name("N");
  app.add_option("--rounds", settings.rounds, "how many runs with random cuts [20]")
      ->type_name("N")
      ->check(CLI::Range(0u, 1'000'000u).description(""));
  app.add_option("--wait", settings.wait, "how long to wait for resume() from another thread [10s]")
      ->type_name("TIME");
  app.add_option("--limit", settings.limit,
                 "how long a run of a transcript may take [30s], or how much CPU a try [2s]")
      ->type_name("TIME");
  app.add_option("--tries", settings.tries,
                 "how many tries; transcripts then serve as samples [500]")
      ->type_name("N")
      ->check(CLI::Range(0u, 1'000'000'000u).description(""));
  app.add_option("--seconds", settings.seconds, "no try begins after this time, such as 5m")
      ->type_name("TIME");
  app.add_option("--try", settings.only, "only this try of the seed, with its script")
      ->type_name("N");
  app.add_option("--samples", settings.samples,
                 "samples of what peers send: a transcript, a file of bytes, or a folder of them")
      ->type_name("PATH")
      ->allow_extra_args(false);
  app.add_option("--option", settings.options, "an option of the module, for the tries")
      ->type_name("NAME=VALUE")
      ->allow_extra_args(false);
  app.add_flag("--trace", settings.trace, "run once, whole, and print what the module did");
  app.add_flag("-q,--quiet", settings.quiet, "print failures only");
  rum::UseHelpFormat(app, std::make_shared<rum::HelpFormat>());
  app.set_version_flag("--version", "rum-check " PACKAGE_VERSION)
      ->description("print the version and exit");
  app.footer(kFooter);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kUsage;
  }
  return Run(settings);
}
