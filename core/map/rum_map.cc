// rum-map: builds, prints and checks user maps.
#include <openssl/crypto.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <string>
#include <unordered_set>
#include <vector>

#include "base/clock.h"
#include "base/escape.h"
#include "base/resp.h"
#include "config.h"
#include "map/atomic_file.h"
#include "map/column.h"
#include "map/hash_password.h"
#include "map/map_build.h"
#include "map/map_changes.h"
#include "map/map_file.h"
#include "map/map_record.h"
#include "map/map_rules.h"
#include "map/map_text.h"
#include "map/stop_signals.h"

namespace rum {
namespace {

// Exit codes; documented in the manual.
constexpr int kDone = 0;
constexpr int kNo = 1;  // not found, or the input or map has problems
constexpr int kUsage = 2;
constexpr size_t kMaxProblems = 20;

int Complain(const Error& error) {
  fprintf(stderr, "rum-map: %s\n", error.text.c_str());
  return static_cast<int>(error.fault);
}

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
  printf("%s: %llu users, %llu bytes", options.out.c_str(),
         static_cast<unsigned long long>(built->users),
         static_cast<unsigned long long>(built->bytes));
  if (built->dropped) {
    printf(", %llu earlier lines dropped", static_cast<unsigned long long>(built->dropped));
  }
  puts("");
  return kDone;
}

void WarnOfJournal(const MapFile& map) {
  if (map.journal_warning().empty()) return;
  fprintf(stderr, "rum-map: warning: %s\n", map.journal_warning().c_str());
}

// How `dump` writes: as lines of text, or as commands of Redis.
struct DumpForm {
  bool redis = false;
  std::string prefix;  // of the users' keys
};

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
    printf("%s: %llu users (%llu with a stored secret), %zu destinations, %llu bytes", path.c_str(),
           static_cast<unsigned long long>(counts.users),
           static_cast<unsigned long long>(counts.secrets), counts.destinations.size(),
           static_cast<unsigned long long>((*map)->bytes()));
    if (counts.rules) {
      printf(", %llu with rules", static_cast<unsigned long long>(counts.rules));
    }
    if ((*map)->changes()) printf(", %zu changed by the journal", (*map)->changes());
    printf("; %llu problems\n", static_cast<unsigned long long>(counts.problems));
  }
  return counts.problems == 0 ? kDone : kNo;
}

// What a program needs that is about to replace the map.
int Changes(const std::string& path) {
  auto map = MapFile::Load(path);
  if (!map) return Complain(map.error());
  const bool exists = (*map)->journal_stamp() != FileStamp();
  const bool applies = !exists || (*map)->journal_applies();
  if (applies) WarnOfJournal(**map);
  printf("%llu%s\n", static_cast<unsigned long long>((*map)->sequence()),
         applies ? "" : " does not apply");
  (*map)->VisitChanges([](std::string_view user, std::optional<std::string_view> value) {
    return puts((value ? FormatMapLine(user, *value) : FormatColumn(user)).c_str()) >= 0;
  });
  return fflush(stdout) == 0
             ? kDone
             : Complain({Fault::kSystem, std::string("standard output: ") + std::strerror(errno)});
}

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

// Reads standard input to its end.
Result<std::string> ReadText() {
  std::string text;
  char chunk[65536];
  for (;;) {
    ssize_t n = read(STDIN_FILENO, chunk, sizeof chunk);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Error{Fault::kSystem, std::string("standard input: ") + std::strerror(errno)};
    if (n == 0) return text;
    text.append(chunk, static_cast<size_t>(n));
    if (text.size() > kJournalMostBytes) {
      return Error{Fault::kConfig, "more than 64 MiB: use rum-map build"};
    }
  }
}

struct Change {
  std::string map, user, destination;
  std::vector<std::string> rules;
};

int Report(const Change& change, const Result<size_t>& made, bool quiet) {
  if (!made) return Complain(made.error());
  if (*made == 0) {
    fprintf(stderr, "rum-map: %s: no user %s\n", change.map.c_str(),
            QuoteBytes(change.user).c_str());
    return kNo;
  }
  if (!quiet) {
    printf("%s: %zu %s\n", change.map.c_str(), *made, *made == 1 ? "change" : "changes");
  }
  return kDone;
}

int Set(const Change& change, bool quiet) {
  if (!change.user.empty()) {
    if (change.destination.empty()) {
      return Complain({Fault::kUsage, "give a destination, or whole lines on standard input"});
    }
    return Report(change, SetUser(change.map, change.user, change.destination, change.rules),
                  quiet);
  }
  auto text = ReadText();
  if (!text) return Complain(text.error());
  std::vector<std::string> problems;
  auto made = SetUsers(change.map, *text, &problems);
  OPENSSL_cleanse(text->data(), text->size());
  for (const std::string& problem : problems) fprintf(stderr, "%s\n", problem.c_str());
  return Report(change, made, quiet);
}

int Hash() {
  auto hash = HashOfPassword();
  if (!hash) return Complain(hash.error());
  puts(hash->c_str());
  return kDone;
}

constexpr char kFooter[] =
    R"(The text form of a map has one line per user: three columns, followed by rules:

  # user   secret                                     destination
  alice    *2470C0C06DEE42FD1618BB99005ADCA2EC9D1E19  tcp:db1.example.net:3306
  bob      -                                          tcp:db2.example.net:3306,tcp:db3.example.net:3306
  carol    -                                          sock:/run/db/db.sock  max=20 allow=10.0.0.0/8

Rules: allow=NETWORK,... deny=NETWORK,... max=N rate=N/s tls=require from=TIME until=TIME
disabled disabled=TEXT note=TEXT. Unknown rules are errors. MODULE-NAME=VALUE is a column for a module, such as
pgsql-db=app1.

The secret is the output of `rum-map hash`, a verifier (SCRAM-SHA-256$...), an MD5 hash
(md5...), a hash of crypt ($6$...), a public key (ed25519:... or parsec:P0:...), or - for none.
In names, write \s for a blank, \\ for a backslash and \xHH for other bytes.
Lines that begin with # are comments.

  rum-map build users.cdb users.txt    build the map; rum loads it within two seconds
  rum-map set users.cdb alice tcp:db2.example.net:3306
                                       move alice; rum knows it within 200 milliseconds
  rum-map unset users.cdb alice        remove alice
  rum-map fold users.cdb               build the map again, with these changes in it
  rum-map check users.cdb              report its problems
  rum-map dump users.cdb               print the text form
  rum-map get users.cdb alice          print alice's server
  rum-map dump --redis rum:user: users.cdb | redis-cli --pipe    fill Redis

Exit codes: 0 success; 1 user not found, or problems in the map or the text; 2 invalid command
line; 4 map broken or unreadable; 6 system error, such as a full disk.)";

int Run(int argc, char** argv) {
  CLI::App app("Builds, prints and checks the user maps of rum.", "rum-map");
  app.require_subcommand(1);
  app.footer(kFooter);
  app.set_version_flag("--version", "rum-map " PACKAGE_VERSION);

  bool quiet = false;
  MapBuildOptions build_options;
  auto* build = app.add_subcommand("build", "Build a map from its text form, atomically");
  build
      ->add_option("OUT", build_options.out,
                   "the map to create (mode 0640) or replace (keeps the mode)")
      ->required();
  build->add_option("IN", build_options.in, "the text; default or -: standard input");
  build->add_flag("--last-wins", build_options.last_wins,
                  "use the last line of a duplicate user (default: an error)");
  build->add_flag("--allow-empty", build_options.allow_empty,
                  "accept an input without users (default: an error)");
  build->add_flag("--cdb", build_options.cdb, "the input is a CDB file and no text");
  build->add_option("--after", build_options.after,
                    "keep the changes of the journal after this one: see changes");
  build->add_flag("-q,--quiet", quiet, "print problems only");

  auto* fold = app.add_subcommand("fold", "Make a new map of a map and its journal, atomically");
  fold->add_option("FILE", build_options.out, "the map")->required();
  fold->add_flag("-q,--quiet", quiet, "print problems only");

  Change change;
  auto* set = app.add_subcommand("set", "Change or add single users, without building the map");
  set->add_option("FILE", change.map, "the map")->required();
  auto* users = set->add_option(
      "USER", change.user,
      "the user's name, byte for byte; without it, lines of the text form are read from "
      "standard input");
  set->add_option("DESTINATION", change.destination, "as in the text form; the secret is kept");
  set->add_option("RULE", change.rules, "as in the text form; default: the rules are kept");
  set->add_flag("-q,--quiet", quiet, "print problems only");
  set->footer("Pass secrets on standard input only: every user of this machine sees arguments.");

  auto* unset = app.add_subcommand("unset", "Remove one user, without building the map");
  unset->add_option("FILE", change.map, "the map")->required();
  unset->add_option("USER", change.user, "the user's name, byte for byte")->required();
  unset->add_flag("-q,--quiet", quiet, "print problems only");

  std::string map, text_out, user;
  auto* changes = app.add_subcommand(
      "changes",
      "Print the number of the last change of the journal, and the users that it changes: "
      "their lines, or the names of those that are removed");
  changes->add_option("FILE", map, "the map")->required();

  auto* dump = app.add_subcommand("dump", "Print the text form of a map, including its secrets");
  dump->add_option("FILE", map, "the map")->required();
  DumpForm form;
  auto* redis = dump->add_option("--redis", form.prefix,
                                 "write commands for redis-cli --pipe, which set a key for each "
                                 "user, PREFIX and the name, and then rum:map:id");
  redis->type_name("PREFIX");
  dump->add_option("-o,--output", text_out, "write to this file (mode 0600)");
  dump->footer("The text contains the secrets: protect it like the map.");

  auto* check =
      app.add_subcommand("check", "Check that a map is complete and each record is usable");
  check->add_option("FILE", map, "the map")->required();
  check->add_flag("-q,--quiet", quiet, "print problems only");

  auto* get = app.add_subcommand("get", "Print the server of a user, without the secret");
  get->add_option("FILE", map, "the map")->required();
  get->add_option("USER", user, "the user's name, byte for byte")->required();

  auto* hash = app.add_subcommand(
      "hash", "Read a password from the terminal or standard input and print its secret");

  auto commands = app.get_subcommands(nullptr);
  if (argc > 1 && argv[1][0] != '-' &&
      std::none_of(commands.begin(), commands.end(),
                   [&](CLI::App* command) { return command->check_name(argv[1]); })) {
    fprintf(stderr,
            "rum-map: %s is not one of build, fold, set, unset, changes, dump, check, get and hash "
            "(rum-map --help)\n",
            QuoteBytes(argv[1]).c_str());
    return kUsage;
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    if (e.get_exit_code() == 0) return app.exit(e);
    fprintf(stderr, "rum-map: %s (see rum-map --help)\n", e.what());
    return kUsage;
  }
  build_options.fold = static_cast<bool>(*fold);
  if (*build || *fold) return Build(build_options, quiet);
  if (*set && users->count() > 0 && change.user.empty()) {
    return Complain({Fault::kUsage, "the user's name is empty"});
  }
  if (*set) return Set(change, quiet);
  if (*changes) return Changes(map);
  if (*unset) return Report(change, UnsetUser(change.map, change.user), quiet);
  form.redis = redis->count() > 0;
  if (*dump) return Dump(map, text_out, form);
  if (*check) return Check(map, quiet);
  if (*get) return Get(map, user);
  if (*hash) return Hash();
  return kUsage;
}

}  // namespace
}  // namespace rum

int main(int argc, char** argv) {
  try {
    return rum::Run(argc, argv);
  } catch (const std::exception& e) {
    fprintf(stderr, "rum-map: %s\n", e.what());
    return 6;
  }
}
