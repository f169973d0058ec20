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
  bob    -                                          tcp:db2.example.net:3306,tcp:db3.example.net:3306
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

int Run(int argc, char** argv) {
  CLI::App app("Builds, prints and checks the user maps of rum.", "rum-map");
  app.require_subcommand(1);
  app.footer(kFooter);
  UseHelpFormat(app, std::make_shared<HelpFormat>());
  app.set_version_flag("--version", "rum-map " PACKAGE_VERSION)
      ->description("print the version and exit");

  bool quiet = false;
  MapBuildOptions build_options;
  auto* build = AddCommand(app, "build", "Build a map from its text form, atomically");
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
  build
      ->add_option("--after", build_options.after,
                   "keep the changes of the journal after this one: see changes")
      ->type_name("N");
  build->add_flag("-q,--quiet", quiet, "print problems only");

  auto* fold = AddCommand(app, "fold", "Make a new map of a map and its journal, atomically");
  fold->add_option("FILE", build_options.out, "the map")->required();
  fold->add_flag("-q,--quiet", quiet, "print problems only");

  Change change;
  auto* set = AddCommand(app, "set", "Change or add single users, without building the map");
  set->add_option("FILE", change.map, "the map")->required();
  auto* users = set->add_option(
      "USER", change.user,
      "the user's name, byte for byte; without it, lines of the text form are read from "
      "standard input");
  set->add_option("DESTINATION", change.destination, "as in the text form; the secret is kept");
  set->add_option("RULE", change.rules, "as in the text form; default: the rules are kept");
  set->add_flag("-q,--quiet", quiet, "print problems only");
  set->footer("Pass secrets on standard input only: every user of this machine sees arguments.");

  auto* unset = AddCommand(app, "unset", "Remove one user, without building the map");
  unset->add_option("FILE", change.map, "the map")->required();
  unset->add_option("USER", change.user, "the user's name, byte for byte")->required();
  unset->add_flag("-q,--quiet", quiet, "print problems only");

  std::string map, text_out, user;
  auto* changes = AddCommand(
      app, "changes",
      "Print the number of the last change of the journal, and the users that it changes: "
      "their lines, or the names of those that are removed");
  changes->add_option("FILE", map, "the map")->required();

  auto* dump = AddCommand(app, "dump", "Print the text form of a map, including its secrets");
  dump->add_option("FILE", map, "the map")->required();
  DumpForm form;
  auto* redis = dump->add_option("--redis", form.prefix,
                                 "write commands for redis-cli --pipe, which set a key for each "
                                 "user, PREFIX and the name, and then rum:map:id");
  redis->type_name("PREFIX");
  dump->add_option("-o,--output", text_out, "write to this file (mode 0600)")->type_name("FILE");
  dump->footer("The text contains the secrets: protect it like the map.");

  auto* check = AddCommand(app, "check", "Check that a map is complete and each record is usable");
  check->add_option("FILE", map, "the map")->required();
  check->add_flag("-q,--quiet", quiet, "print problems only");

  auto* get = AddCommand(app, "get", "Print the server of a user, without the secret");
  get->add_option("FILE", map, "the map")->required();
  get->add_option("USER", user, "the user's name, byte for byte")->required();

  auto* hash = AddCommand(
      app, "hash", "Read a password from the terminal or standard input and print its secret");

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
  if (*unset) return Unset(change, quiet);
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
