// The command line of rum-map, which builds, prints and checks user maps.
#include <stdio.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <string>

#include "base/help_format.h"
#include "config.h"
#include "map/column.h"
#include "map/hash_password.h"
#include "map/map_commands.h"

namespace rum {
namespace {

int Hash() {
  auto hash = HashOfPassword();
  if (!hash) return Complain(hash.error());
  puts(hash->c_str());
  return kDone;
}

constexpr char kFooter[] =
    R"(The text form of a map has one line per user: three columns, followed by rules:

  # user secret                                     destination
  alice  *2470C0C06DEE42FD1618BB99005ADCA2EC9D1E19  tcp:db1.example.net:3306
  bob    -                                          tcp:db2:3306,tcp:db3:3306
  carol  -                                          sock:/run/db/db.sock  max=20 allow=10.0.0.0/8

Rules: allow=NETWORK,... deny=NETWORK,... max=N rate=N/s tls=require from=TIME until=TIME
disabled disabled=TEXT note=TEXT. Unknown rules are errors. MODULE-NAME=VALUE is a column for a
module, such as pgsql-db=app1.

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

// What the command line gave, and the exit code of the command that it named.
struct CommandLine {
  bool quiet = false;
  MapBuildOptions build;
  Change change;
  DumpForm form;
  std::string map, text_out, user;
  int code = kUsage;
};

void AddQuiet(CLI::App* command, CommandLine& line) {
  command->add_flag("-q,--quiet", line.quiet, "print problems only");
}

void AddMap(CLI::App* command, std::string& map) {
  command->add_option("FILE", map, "the map")->required();
}

// Those that make a map.
void AddBuild(CLI::App& app, CommandLine& line) {
  MapBuildOptions& options = line.build;
  auto* build = AddCommand(app, "build", "Build a map from its text form, atomically");
  build->add_option("OUT", options.out, "the map to create (mode 0640) or replace (keeps the mode)")
      ->required();
  build->add_option("IN", options.in, "the text; default or -: standard input");
  build->add_flag("--last-wins", options.last_wins,
                  "use the last line of a duplicate user (default: an error)");
  build->add_flag("--allow-empty", options.allow_empty,
                  "accept an input without users (default: an error)");
  build->add_flag("--cdb", options.cdb, "the input is a CDB file and no text");
  build
      ->add_option("--after", options.after,
                   "keep the changes of the journal after this one: see changes")
      ->type_name("N");
  AddQuiet(build, line);
  build->callback([&] { line.code = Build(options, line.quiet); });

  auto* fold = AddCommand(app, "fold", "Make a new map of a map and its journal, atomically");
  AddMap(fold, options.out);
  AddQuiet(fold, line);
  fold->callback([&] {
    options.fold = true;
    line.code = Build(options, line.quiet);
  });
}

// Those that write the journal of a map.
void AddChanges(CLI::App& app, CommandLine& line) {
  Change& change = line.change;
  auto* set = AddCommand(app, "set", "Change or add single users, without building the map");
  AddMap(set, change.map);
  auto* users = set->add_option(
      "USER", change.user,
      "the user's name, byte for byte; without it, lines of the text form are read from "
      "standard input");
  set->add_option("DESTINATION", change.destination, "as in the text form; the secret is kept");
  set->add_option("RULE", change.rules, "as in the text form; default: the rules are kept");
  AddQuiet(set, line);
  set->footer("Pass secrets on standard input only: every user of this machine sees arguments.");
  set->callback([&line, &change, users] {
    line.code = users->count() > 0 && change.user.empty()
                    ? Complain({Fault::kUsage, "the user's name is empty"})
                    : Set(change, line.quiet);
  });

  auto* unset = AddCommand(app, "unset", "Remove one user, without building the map");
  AddMap(unset, change.map);
  unset->add_option("USER", change.user, "the user's name, byte for byte")->required();
  AddQuiet(unset, line);
  unset->callback([&] { line.code = Unset(change, line.quiet); });
}

// Those that only read.
void AddQueries(CLI::App& app, CommandLine& line) {
  auto* changes = AddCommand(
      app, "changes",
      "Print the number of the last change of the journal, and the users that it changes: "
      "their lines, or the names of those that are removed");
  AddMap(changes, line.map);
  changes->callback([&] { line.code = Changes(line.map); });

  auto* dump = AddCommand(app, "dump", "Print the text form of a map, including its secrets");
  AddMap(dump, line.map);
  auto* redis = dump->add_option("--redis", line.form.prefix,
                                 "write commands for redis-cli --pipe, which set a key for each "
                                 "user, PREFIX and the name, and then rum:map:id");
  redis->type_name("PREFIX");
  dump->add_option("-o,--output", line.text_out, "write to this file (mode 0600)")
      ->type_name("FILE");
  dump->footer("The text contains the secrets: protect it like the map.");
  dump->callback([&line, redis] {
    line.form.redis = redis->count() > 0;
    line.code = Dump(line.map, line.text_out, line.form);
  });

  auto* check = AddCommand(app, "check", "Check that a map is complete and each record is usable");
  AddMap(check, line.map);
  AddQuiet(check, line);
  check->callback([&] { line.code = Check(line.map, line.quiet); });

  auto* get = AddCommand(app, "get", "Print the server of a user, without the secret");
  AddMap(get, line.map);
  get->add_option("USER", line.user, "the user's name, byte for byte")->required();
  get->callback([&] { line.code = Get(line.map, line.user); });

  auto* hash = AddCommand(
      app, "hash", "Read a password from the terminal or standard input and print its secret");
  hash->callback([&] { line.code = Hash(); });
}

int Run(int argc, char** argv) {
  CLI::App app("Builds, prints and checks the user maps of rum.", "rum-map");
  app.require_subcommand(1);
  app.footer(kFooter);
  UseHelpFormat(app, std::make_shared<HelpFormat>());
  app.set_version_flag("--version", "rum-map " PACKAGE_VERSION)
      ->description("print the version and exit");
  CommandLine line;
  AddBuild(app, line);
  AddChanges(app, line);
  AddQueries(app, line);

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
    fprintf(stderr, "rum-map: %s (rum-map --help)\n", FaultOf(app, e).c_str());
    return kUsage;
  }
  return line.code;
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
