#include "map/map_commands.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <unordered_set>

#include "base/clock.h"
#include "base/escape.h"
#include "base/resp.h"
#include "base/units.h"
#include "map/atomic_file.h"
#include "map/column.h"
#include "map/map_record.h"
#include "map/map_rules.h"
#include "map/map_text.h"
#include "map/stop_signals.h"

namespace rum {
namespace {

// A progress line on a terminal, updated in place and removed at the end; otherwise prints nothing.
class Progress {
 public:
  ~Progress() {
    if (shown_) fputs("\r\033[K", stderr);
  }
  bool Show(const char* doing, uint64_t done) {
    uint64_t now = NowMillis();
    if (terminal_ && now - last_ >= 100) {
      last_ = now;
      shown_ = true;
      fprintf(stderr, "\r\033[K%s: %llu", doing, static_cast<unsigned long long>(done));
      fflush(stderr);
    }
    return !StopRequested();
  }

 private:
  const bool terminal_ = isatty(STDERR_FILENO);
  uint64_t last_ = 0;
  bool shown_ = false;
};

void WarnOfAlike(const std::string& path, uint32_t number, const std::string& user) {
  if (number < kManyAlike) return;
  fprintf(stderr,
          "%s: warning: %u names have the same hash, such as %s: each lookup of one compares all "
          "of them; somebody may have chosen them to slow rum down\n",
          path.c_str(), number, QuoteBytes(user).c_str());
}

}  // namespace

int Complain(const Error& error) {
  fprintf(stderr, "rum-map: %s\n", error.text.c_str());
  return static_cast<int>(error.fault);
}

void WarnOfJournal(const MapFile& map) {
  if (map.journal_warning().empty()) return;
  fprintf(stderr, "rum-map: warning: %s\n", map.journal_warning().c_str());
}

int Build(MapBuildOptions options, bool quiet) {
  CatchStopSignals();
  std::vector<std::string> problems;
  auto progress = std::make_unique<Progress>();
  options.progress = [&](const char* doing, uint64_t done) { return progress->Show(doing, done); };
  auto built = BuildMap(options, &problems);
  progress.reset();
  for (const std::string& problem : problems) fprintf(stderr, "%s\n", problem.c_str());
  if (!built) {
    Complain(built.error());
    return problems.empty() ? static_cast<int>(built.error().fault) : kNo;
  }
  if (built->odd_names.count) {
    fprintf(stderr, "%s: warning: %s\n", options.out.c_str(), Describe(built->odd_names).c_str());
  }
  WarnOfAlike(options.out, built->alike, built->alike_user);
  if (quiet) return kDone;
  printf("%s: %s, %llu bytes", options.out.c_str(), Counted(built->users, "user").c_str(),
         static_cast<unsigned long long>(built->bytes));
  if (built->dropped) {
    printf(", %llu earlier lines dropped", static_cast<unsigned long long>(built->dropped));
  }
  puts("");
  return kDone;
}

// -- dump -----------------------------------------------------------------------------------------

namespace {

// Writes all records; false if the disk is full or the reader is gone. For Redis the marker is
// last, so that nobody believes in users that are not there before all are.
bool WriteRecords(const MapFile& map, const DumpForm& form, FILE* out) {
  uint64_t users = 0;
  auto write = [out](const std::string& text) {
    return !StopRequested() && fwrite(text.data(), 1, text.size(), out) == text.size();
  };
  map.Visit([&](std::string_view user, std::string_view value) {
    const std::string line = FormatMapLine(user, value);
    if (!form.redis) return write(line + "\n");
    if (map.Hides(value)) return true;
    std::string command;
    AppendResp(command, {"SET", form.prefix + std::string(user), line});
    ++users;
    return write(command);
  });
  if (form.redis) {
    std::string command;
    AppendResp(command, {"SET", kMapMarker, std::to_string(users)});
    write(command);
  }
  return fflush(out) == 0 && !ferror(out);
}

}  // namespace

int Dump(const std::string& path, const std::string& out, const DumpForm& form) {
  auto map = MapFile::Load(path);
  if (!map) return Complain(map.error());
  WarnOfJournal(**map);
  if (out.empty()) {
    if (WriteRecords(**map, form, stdout)) return kDone;
    return Complain({Fault::kSystem, std::string("standard output: ") + std::strerror(errno)});
  }
  CatchStopSignals();
  auto file = AtomicFile::Make(out);
  if (!file) return Complain(file.error());
  std::unique_ptr<FILE, int (*)(FILE*)> stream(fdopen(dup(file->fd()), "w"), fclose);
  if (!stream || !WriteRecords(**map, form, stream.get())) {
    return Complain({Fault::kSystem, out + ": " + std::strerror(errno)});
  }
  if (StopRequested()) return Complain({Fault::kSystem, out + ": not written: interrupted"});
  if (Status s = file->Publish(0600); !s) return Complain(s.error());
  return kDone;
}

// -- check ----------------------------------------------------------------------------------------

namespace {

constexpr size_t kMaxProblems = 20;

struct Counts {
  OddNames odd_names;
  uint64_t users = 0, secrets = 0, rules = 0, problems = 0;
  std::unordered_set<std::string_view> destinations;
};

void CheckRecord(const std::string& path, const MapFile& map, std::string_view user,
                 std::string_view value, Counts& counts) {
  auto problem = [&](const std::string& text) {
    if (++counts.problems > kMaxProblems) return;
    fprintf(stderr, "%s: user %s %s\n", path.c_str(), QuoteBytes(user).c_str(), text.c_str());
  };
  ++counts.users;
  if (map.Hides(value)) {
    problem("is a duplicate: look-ups never find this record");
  }
  if (Status s = CheckMapEntry(user, value); !s) {
    problem(s.error().text);
  } else {
    counts.odd_names.Add(user);
  }
  if (auto record = ParseMapRecord(value)) {
    counts.secrets += !record->secret.empty();
    counts.rules += !record->tail.empty();
    counts.destinations.insert(record->destination);
  }
}

}  // namespace

int Check(const std::string& path, bool quiet) {
  auto map = MapFile::Load(path);
  if (!map) {
    Complain(map.error());
    return kNo;
  }
  struct stat st;
  if (stat(path.c_str(), &st) == 0 && (st.st_mode & S_IROTH)) {
    fprintf(stderr, "%s: warning: every user of this machine can read it (chmod o= %s)\n",
            path.c_str(), path.c_str());
  }
  if (uint64_t users = (*map)->rules().with_countries) {
    fprintf(stderr, "%s: warning: users with country rules, for which rum needs --geo-db: %llu\n",
            path.c_str(), static_cast<unsigned long long>(users));
  }
  WarnOfAlike(path, (*map)->alike(), (*map)->alike_user());
  Counts counts;
  WarnOfJournal(**map);
  counts.problems += !(*map)->journal_warning().empty();
  (*map)->Visit([&](std::string_view user, std::string_view value) {
    CheckRecord(path, **map, user, value, counts);
    return true;
  });
  if (counts.odd_names.count) {
    fprintf(stderr, "%s: warning: %s\n", path.c_str(), Describe(counts.odd_names).c_str());
  }
  if (counts.problems > kMaxProblems) {
    fprintf(stderr, "%s: and %llu more\n", path.c_str(),
            static_cast<unsigned long long>(counts.problems - kMaxProblems));
  }
  if (!quiet) {
    printf("%s: %s (%llu with a stored secret), %s, %llu bytes", path.c_str(),
           Counted(counts.users, "user").c_str(), static_cast<unsigned long long>(counts.secrets),
           Counted(counts.destinations.size(), "destination").c_str(),
           static_cast<unsigned long long>((*map)->bytes()));
    if (counts.rules) {
      printf(", %llu with rules", static_cast<unsigned long long>(counts.rules));
    }
    if ((*map)->changes()) printf(", %zu changed by the journal", (*map)->changes());
    printf("; %s\n", Counted(counts.problems, "problem").c_str());
  }
  return counts.problems == 0 ? kDone : kNo;
}

// -- get ------------------------------------------------------------------------------------------

int Get(const std::string& path, const std::string& user) {
  auto map = MapFile::Load(path);
  if (!map) return Complain(map.error());
  WarnOfJournal(**map);
  std::string_view value;
  switch ((*map)->Find(user, &value)) {
    case MapFile::Answer::kFound:
      break;
    case MapFile::Answer::kNotFound:
      fprintf(stderr, "rum-map: %s: no user %s\n", path.c_str(), QuoteBytes(user).c_str());
      return kNo;
    case MapFile::Answer::kBroken:
      return Complain({Fault::kMap, path + ": is broken"});
  }
  auto record = ParseMapRecord(value);
  if (!record) {
    return Complain({Fault::kMap, path + ": user " + QuoteBytes(user) + " " + record.error().text});
  }
  std::string destination = "destination ";
  AppendEscaped(destination, record->destination);
  puts(destination.c_str());
  printf("secret %s\n", record->secret.empty() ? "none" : "stored");
  for (const std::string& rule : DescribeMapRules(record->tail)) puts(rule.c_str());
  return kDone;
}

}  // namespace rum
