// rumctl: shows the state of a running rum and controls it through the socket of --control.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/escape.h"
#include "base/help_format.h"
#include "base/result.h"
#include "config.h"
#include "ctl/client.h"
#include "ctl/instances.h"
#include "ctl/show.h"
#include "ctl/top.h"

namespace rum {
namespace {

constexpr int kRefused = 1, kUsage = 2, kUnreachable = 3;

// A command of rumctl. Its KEY=VALUE words become the query of the request.
struct Command {
  const char* name;
  const char* words;  // synopsis, for the help
  const char* method;
  const char* path;
  std::array<const char*, 2> positional;  // keys of the words without KEY=, in order
  std::string (*show)(const Json&);
  const char* help;
};

// A command of two words, which "map" stands for.
constexpr const char* kMapForget = "map forget";

constexpr Command kCommands[] = {
    {"status", "", "GET", "/stats", {}, ShowStatus, "show a summary"},
    {"sessions",
     "[user=U] [ip=IP] [destination=ADDR] [limit=N]",
     "GET",
     "/sessions",
     {},
     ShowSessions,
     "list the sessions"},
    {"users",
     "[since=TIME] [limit=N]",
     "GET",
     "/users",
     {},
     ShowUsers,
     "list the users with the most sessions"},
    {"destinations", "", "GET", "/stats", {}, ShowDestinations, "list the servers and their state"},
    {"limits",
     "",
     "GET",
     "/limits",
     {},
     ShowLimits,
     "list the limits, their use and their refusals"},
    {"map",
     "[forget USER | forget --all]",
     "GET",
     "/stats",
     {},
     ShowMap,
     "show the state of the user map; forget: ask its source again at the next login"},
    {kMapForget, "USER | all=1", "POST", "/map/forget", {"user"}, ShowDone, ""},
    {"explain",
     "USER[@IP]",
     "POST",
     "/explain",
     {"user"},
     ShowExplained,
     "explain what would happen to a user's login"},
    {"kill",
     "ID | [user=U] [ip=IP] [destination=ADDR]",
     "POST",
     "/kill",
     {"id"},
     ShowKilled,
     "end the sessions that match all given filters"},
    {"drain",
     "ADDR",
     "POST",
     "/drain",
     {"destination"},
     ShowDone,
     "send no new sessions to a server; existing ones continue"},
    {"maint",
     "ADDR",
     "POST",
     "/maint",
     {"destination"},
     ShowDone,
     "drain, and end the server's sessions"},
    {"ready",
     "ADDR",
     "POST",
     "/ready",
     {"destination"},
     ShowDone,
     "send sessions to a server again"},
    {"pause",
     "user=U | server=ADDR [TIME]",
     "POST",
     "/pause",
     {"time"},
     ShowDone,
     "hold new logins of a user or for a server, for 30s if no time is given"},
    {"resume",
     "user=U | server=ADDR",
     "POST",
     "/resume",
     {},
     ShowDone,
     "let them go on, to where the map sends them now"},
    {"unblock",
     "IP",
     "POST",
     "/unblock",
     {"address"},
     ShowDone,
     "end the block of an address that --login-failures blocked"},
    {"set",
     "LIMIT VALUE",
     "POST",
     "/set",
     {"name", "value"},
     ShowDone,
     "change a limit until its option changes in the configuration"},
    {"log",
     "error|warning|info|debug",
     "POST",
     "/log",
     {"level"},
     ShowDone,
     "set the log level until --log-level changes"},
    {"reload",
     "",
     "POST",
     "/reload",
     {},
     ShowDone,
     "reload the configuration and the map, like HUP"},
    {"upgrade", "", "POST", "/upgrade", {}, ShowDone, "hand over to a new process, like USR2"},
    {"stop", "", "POST", "/stop", {}, ShowDone, "accept no more clients and end, like TERM"},
    {"top",
     "",
     "GET",
     "/stats",
     {},
     nullptr,
     "show status, servers that are down and sessions, every two seconds; keys: b, a and r sort by "
     "bytes, age and rate, q quits"},
};

constexpr const char* kFooter =
    "Examples:\n"
    "  rumctl explain alice@192.0.2.7          why she can, or cannot, log in\n"
    "  rumctl kill user=alice ip=192.0.2.7     end her sessions from this address\n"
    "  rumctl drain tcp:db7:3306               send this server no new sessions\n"
    "  rumctl set max-connections 20000        change a limit at once\n"
    "\n"
    "Exit: 0 success, 1 refused, 2 usage, 3 no rum answers.\n"
    "More: man rumctl";

// Help that shows the words of each command. CLI11 knows them as the option "words" only.
class Format : public HelpFormat {
  std::string make_usage(const CLI::App* app, std::string name) const override {
    const bool whole = !app->get_parent();
    const std::string words = whole ? "COMMAND [WORD...]" : Words(app);
    return "Usage: " + name + (whole ? " [-s PATH | -i NAME] [--json]" : "") +
           (words.empty() ? "" : " ") + words + "\n";
  }
  std::string make_positionals(const CLI::App*) const override { return ""; }
  std::string make_subcommand(const CLI::App* command) const override {
    const std::string words = Words(command);
    return Row(command->get_name() + (words.empty() ? "" : " ") + words,
               command->get_description());
  }

  static std::string Words(const CLI::App* app) {
    auto command = std::find_if(std::begin(kCommands), std::end(kCommands),
                                [&](const Command& c) { return app->get_name() == c.name; });
    return command == std::end(kCommands) ? "" : command->words;
  }
};

// Whether the command accepts `key`, either as KEY= in its synopsis or without it.
bool Knows(const Command& command, const std::string& key) {
  for (const char* positional : command.positional) {
    if (positional && key == positional) return true;
  }
  std::string_view words = command.words;
  size_t at = words.find(key + "=");
  return at != words.npos && (at == 0 || !std::isalnum(static_cast<unsigned char>(words[at - 1])));
}

// Whether the word is KEY=VALUE. A value may contain '=', too: "2/m,block=10m", "sock:/run/a=b".
bool HasKey(std::string_view word) {
  const size_t end = word.find_first_not_of("abcdefghijklmnopqrstuvwxyz_-");
  return end != 0 && end != word.npos && word[end] == '=';
}

std::string Escaped(std::string_view text) {
  std::string out;
  for (unsigned char c : text) {
    if (std::isalnum(c) || std::strchr("-._~:/", c)) {
      out += static_cast<char>(c);
    } else {
      char hex[4];
      std::snprintf(hex, sizeof hex, "%%%02X", c);
      out += hex;
    }
  }
  return out;
}

// Each line of the text is a mistake of its own.
int Fail(const Error& error) {
  for (std::string_view rest = error.text;;) {
    const size_t end = rest.find('\n');
    std::string line;
    AppendPrintable(line, rest.substr(0, end));
    std::fprintf(stderr, "rumctl: %s\n", line.c_str());
    if (end == rest.npos || end + 1 == rest.size()) break;
    rest.remove_prefix(end + 1);
  }
  return error.fault == Fault::kSystem ? kUnreachable : kRefused;
}

// Until the user quits; prints once if this is not a terminal.
int Top(const std::string& socket) {
  const bool terminal = CanShowTop();
  auto stats = Ask(socket, "GET", "/stats");
  if (!stats) return Fail(stats.error());
  auto sessions = Ask(socket, "GET", terminal ? kTopSessions : "/sessions?limit=30");
  if (!sessions) return Fail(sessions.error());
  Json tree;
  auto above = Show(ShowStatus, *stats, &tree), below = Show(ShowSessions, *sessions, &tree);
  if (!above) return Fail(above.error());
  if (!below) return Fail(below.error());
  if (terminal) {
    ShowTop(socket, *stats, *sessions);
  } else {
    std::printf("%s\n%s", above->c_str(), below->c_str());
  }
  return 0;
}

int Run(const Command& command, const std::vector<std::string>& words, const std::string& socket,
        bool json) {
  if (!command.show) return Top(socket);
  std::string what = command.path;
  char separator = '?';
  size_t positional = 0;
  for (const std::string& word : words) {
    size_t equals = word.find('=');
    const char* next =
        positional < command.positional.size() ? command.positional[positional] : nullptr;
    bool keyed = equals != word.npos && Knows(command, word.substr(0, equals));
    // User names may contain '='; in other words an unknown KEY= is a mistake.
    bool plain = !HasKey(word) || (next && std::string_view(next) == "user");
    if (!keyed && (!next || !plain)) {
      std::fprintf(stderr, "rumctl: %s: unknown parameter '%s'; usage: %s %s\n", command.name,
                   word.substr(0, equals).c_str(), command.name, command.words);
      return kUsage;
    }
    std::string key = keyed ? word.substr(0, equals) : next;
    if (!keyed) ++positional;
    what += separator + key + "=" + Escaped(keyed ? word.substr(equals + 1) : word);
    separator = '&';
  }
  auto body = Ask(socket, command.method, what);
  if (!body) return Fail(body.error());
  if (json) {
    std::fputs(ShowJson(*body).c_str(), stdout);
    return 0;
  }
  Json tree;
  auto text = Show(command.show, *body, &tree);
  if (!text) return Fail(text.error());
  std::fputs(text->c_str(), stdout);
  const bool partly = command.show == ShowKilled && tree.contains("no_answer");
  return partly || tree.value("possible", Json(true)) == Json(false) ? kRefused : 0;
}

// The first word where a command is expected, if it is none; empty: it is one.
std::string UnknownCommand(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    if (word == "-s" || word == "--socket" || word == "-i" || word == "--instance") {
      ++i;
    } else if (!word.starts_with('-')) {
      const bool known = std::any_of(std::begin(kCommands), std::end(kCommands),
                                     [&](const Command& c) { return word == c.name; });
      std::string shown;
      if (!known) AppendPrintable(shown, word);
      return shown;
    }
  }
  return {};
}

int Main(int argc, char** argv) {
  CLI::App app("rumctl shows the state of a running rum and controls it.", "rumctl");
  const char* from_environment = std::getenv("RUM_CONTROL");
  const char* folder = std::getenv("RUM_INSTANCES");
  std::string socket = from_environment ? from_environment : "", instance;
  bool json = false;
  auto* by_path = app.add_option("-s,--socket", socket, "the socket of rum --control");
  by_path->type_name("PATH");
  app.add_option("-i,--instance", instance, "the instance, such as mx for rum@mx.service")
      ->type_name("NAME")
      ->excludes(by_path);
  app.add_flag("--json", json, "print rum's answer as JSON");
  app.set_version_flag("--version", "rumctl " PACKAGE_VERSION)
      ->description("print the version and exit");
  app.require_subcommand(1);
  app.fallthrough();
  app.footer(kFooter);
  UseHelpFormat(app, std::make_shared<Format>());
  std::vector<std::string> words;
  bool all = false;
  for (const Command& command : kCommands) {
    if (command.name == kMapForget) continue;
    auto* sub = AddCommand(app, command.name, command.help);
    if (*command.words) sub->add_option("words", words, "")->type_name(command.words);
    if (command.show == ShowMap) sub->add_flag("--all", all, "forget all users");
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& e) {
    return app.exit(e);
  } catch (const CLI::Error& e) {
    const std::string unknown = UnknownCommand(argc, argv);
    const std::string why =
        unknown.empty() ? FaultOf(app, e) : "there is no command '" + unknown + "'";
    std::fprintf(stderr, "rumctl: %s (rumctl --help)\n", why.c_str());
    return kUsage;
  }
  if (socket.empty() || !instance.empty()) {
    auto found = FindSocket(folder ? folder : kInstancesFolder, instance);
    if (!found) {
      std::fprintf(stderr, "rumctl: %s\n", found.error().text.c_str());
      return kUsage;
    }
    socket = std::move(*found);
  }
  if (socket.starts_with("sock:")) socket.erase(0, 5);
  std::string name = app.get_subcommands().front()->get_name();
  if (name == "map" && !words.empty() && words.front() == "forget") {
    name = kMapForget;
    words.erase(words.begin());
    if (all) words.push_back("all=1");
  } else if (all) {
    std::fprintf(stderr, "rumctl: --all is a part of 'map forget --all'\n");
    return kUsage;
  }
  auto command = std::find_if(std::begin(kCommands), std::end(kCommands),
                              [&](const Command& c) { return name == c.name; });
  return Run(*command, words, socket, json);
}

}  // namespace
}  // namespace rum

int main(int argc, char** argv) { return rum::Main(argc, argv); }
