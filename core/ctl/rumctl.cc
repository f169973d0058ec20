// rumctl: shows the state of a running rum and controls it through the socket of --control.
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "base/escape.h"
#include "base/fd.h"
#include "base/result.h"
#include "config.h"

namespace rum {
namespace {

using Json = nlohmann::ordered_json;

constexpr char kDefaultSocket[] = "/run/rum/control.sock";
constexpr int kRefused = 1, kUsage = 2, kUnreachable = 3;
constexpr size_t kMostBytes = 64 * 1024 * 1024;

// Returns the body of the answer. Fault::kSystem: rum is unreachable; kConfig: rum refused.
Result<std::string> Ask(const std::string& path, const char* method, const std::string& what) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return Error{Fault::kSystem, path + " is too long"};
  std::memcpy(address.sun_path, path.data(), path.size());
  Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    return Error{Fault::kSystem,
                 "no rum answers on " + path + ": " + std::strerror(errno) +
                     " (rum --control sock:PATH creates it, -s PATH selects another)"};
  }
  std::string request = std::string(method) + " " + what + " HTTP/1.0\r\nContent-Length: 0\r\n\r\n";
  if (::send(fd.get(), request.data(), request.size(), MSG_NOSIGNAL) !=
      static_cast<ssize_t>(request.size())) {
    return Error{Fault::kSystem, path + ": " + std::strerror(errno)};
  }
  std::string answer;
  char bytes[65536];
  for (ssize_t n; (n = ::read(fd.get(), bytes, sizeof bytes)) != 0;) {
    if (n < 0 || answer.size() > kMostBytes)
      return Error{Fault::kSystem, path + ": the answer is incomplete"};
    answer.append(bytes, static_cast<size_t>(n));
  }
  size_t head = answer.find("\r\n\r\n");
  if (answer.compare(0, 5, "HTTP/") != 0 || head == answer.npos) {
    return Error{Fault::kSystem, path + ": this is not the control socket of rum"};
  }
  std::string body = answer.substr(head + 4);
  constexpr std::string_view kLength = "\r\nContent-Length: ";
  if (size_t at = answer.find(kLength); at < head) {
    size_t size = std::strtoull(answer.c_str() + at + kLength.size(), nullptr, 10);
    if (body.size() < size) return Error{Fault::kSystem, path + ": the answer is incomplete"};
  }
  if (answer.compare(8, 5, " 200 ") == 0) return body;
  auto json = Json::parse(body, nullptr, false);
  auto error = json.is_object() ? json.find("error") : json.end();
  std::string why = error != json.end() && error->is_string() ? error->get<std::string>() : body;
  while (!why.empty() && why.back() == '\n') why.pop_back();
  return Error{Fault::kConfig, why};
}

// Safe for a terminal: names are untrusted.
std::string Shown(const Json& value) {
  if (!value.is_string()) return value.is_null() ? "" : value.dump();
  std::string out;
  AppendPrintable(out, value.get<std::string>());
  return out;
}

std::string Duration(double seconds) {
  char text[32];
  if (seconds < 60) {
    std::snprintf(text, sizeof text, "%.1fs", seconds);
  } else if (seconds < 3600) {
    std::snprintf(text, sizeof text, "%dm%02ds", static_cast<int>(seconds) / 60,
                  static_cast<int>(seconds) % 60);
  } else {
    std::snprintf(text, sizeof text, "%.1fh", seconds / 3600);
  }
  return text;
}

// Pads each column to its longest cell.
std::string Table(std::vector<std::vector<std::string>> rows) {
  std::vector<size_t> width;
  for (const auto& row : rows) {
    width.resize(std::max(width.size(), row.size()));
    for (size_t i = 0; i < row.size(); ++i) width[i] = std::max(width[i], row[i].size());
  }
  std::string out;
  for (const auto& row : rows) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) {
      line += row[i];
      if (i + 1 < row.size()) line.append(width[i] - row[i].size() + 2, ' ');
    }
    out += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
  }
  return out;
}

std::string Status(const Json& s) {
  const Json& sessions = s.at("sessions");
  std::string state = s.at("rum").at("ready").get<bool>() ? "serving" : "NOT READY";
  if (s.at("rum").at("draining").get<bool>()) state = "draining";
  return Table(
      {{"rum", Shown(s.at("rum").at("version")) + ", process " + Shown(s.at("rum").at("pid")) +
                   ", " + state},
       {"up", Duration(s.at("rum").at("uptime_seconds").get<double>())},
       {"module", Shown(s.at("module").at("name"))},
       {"workers", Shown(s.at("rum").at("workers")) + ", " +
                       Shown(s.at("rum").at("workers_stuck")) + " stuck"},
       {"sessions", Shown(sessions.at("active")) + " now, " + Shown(sessions.at("relaying")) +
                        " logged in, " + Shown(sessions.at("connecting")) + " connecting, " +
                        Shown(sessions.at("accepted")) + " since the start"},
       {"logins",
        Shown(sessions.at("logins")) + ", failed " + Shown(s.at("limits").at("login_failures"))},
       {"servers", Shown(s.at("health_checks").at("up")) + " up, " +
                       Shown(s.at("health_checks").at("down")) + " down, " +
                       Shown(s.at("health_checks").at("unknown")) + " unknown"},
       {"users", Shown(s.at("limits").at("users")) + " with sessions, " +
                     Shown(s.at("limits").at("blocked_addresses")) + " addresses blocked"}});
}

std::string Destinations(const Json& s) {
  std::vector<std::vector<std::string>> rows = {
      {"ADDRESS", "SESSIONS", "STATE", "CHECK TIME", "WHAT"}};
  for (const Json& one : s.at("destinations")) {
    std::string state = Shown(one.at("state")), what;
    if (one.contains("circuit")) {
      const std::string circuit = Shown(one.at("circuit"));
      state = "circuit " + circuit;
      what = Shown(one.at("circuit_reason"));
      if (circuit == "open") {
        what += ", half-open in " + Duration(one.at("circuit_seconds").get<double>());
      }
    }
    if (one.contains("admin")) state = Shown(one.at("admin"));
    if (what.empty() && one.contains("reason")) {
      what = Shown(one.at("reason")) + " " + Shown(one.at("detail"));
    } else if (what.empty() && one.contains("notes") && one.at("notes").contains("version")) {
      what = Shown(one.at("notes").at("version"));
    }
    rows.push_back(
        {Shown(one.at("address")), Shown(one.at("sessions")), state,
         one.contains("check_seconds") ? Duration(one.at("check_seconds").get<double>()) : "-",
         what});
  }
  return Table(rows);
}

std::string Users(const Json& s) {
  std::vector<std::vector<std::string>> rows = {{"USER", "SESSIONS"}};
  for (const Json& one : s.at("users"))
    rows.push_back({Shown(one.at("user")), Shown(one.at("sessions"))});
  return Table(rows) + Shown(s.at("active")) + " users in all\n";
}

std::string Limits(const Json& s) {
  std::vector<std::vector<std::string>> rows = {{"LIMIT", "VALUE", "NOW", "REFUSED"}};
  for (const Json& one : s.at("limits")) {
    rows.push_back({Shown(one.at("name")), Shown(one.at("value")),
                    one.contains("now") ? Shown(one.at("now")) : "-",
                    one.contains("refused") ? Shown(one.at("refused")) : "-"});
  }
  return Table(rows);
}

std::string Explained(const Json& s) {
  std::vector<std::vector<std::string>> rows;
  for (const Json& line : s.at("lines")) rows.push_back({Shown(line.at(0)), Shown(line.at(1))});
  return Table(rows);
}

std::string Map(const Json& s) {
  const Json& map = s.at("map");
  if (!map.at("configured").get<bool>()) return "there is no user map\n";
  return Table({{"records", Shown(map.at("records"))},
                {"bytes", Shown(map.at("bytes"))},
                {"loads", Shown(map.at("loads")) + ", refused " + Shown(map.at("load_failures"))},
                {"look-ups", Shown(map.at("lookups")) + ", misses " + Shown(map.at("misses"))},
                {"last error", Shown(map.at("last_error"))}});
}

std::string Sessions(const Json& s) {
  std::vector<std::vector<std::string>> rows = {
      {"ID", "CLIENT", "USER", "DESTINATION", "STATE", "AGE", "RECEIVED", "SENT"}};
  for (const Json& one : s.at("sessions")) {
    rows.push_back({Shown(one.at("id")), Shown(one.at("client")),
                    one.contains("user") ? Shown(one.at("user")) : "-",
                    one.contains("destination") ? Shown(one.at("destination")) : "-",
                    Shown(one.at("state")), Duration(one.at("seconds").get<double>()),
                    Shown(one.at("received")), Shown(one.at("sent"))});
  }
  std::string more = s.at("matched").get<size_t>() > s.at("sessions").size()
                         ? "and more: " + Shown(s.at("matched")) + " in all\n"
                         : "";
  return Table(rows) + more;
}

std::string Killed(const Json& s) { return Shown(s.at("matched")) + " ended\n"; }
std::string Done(const Json& s) { return Shown(s.at("done")) + "\n"; }

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

constexpr Command kCommands[] = {
    {"status", "", "GET", "/stats", {}, Status, "show a summary"},
    {"sessions",
     "[user=U] [ip=IP] [destination=ADDR] [limit=N]",
     "GET",
     "/sessions",
     {},
     Sessions,
     "list the sessions"},
    {"users", "[limit=N]", "GET", "/users", {}, Users, "list the users with the most sessions"},
    {"destinations", "", "GET", "/stats", {}, Destinations, "list the servers and their state"},
    {"limits", "", "GET", "/limits", {}, Limits, "list the limits, their use and their refusals"},
    {"map", "", "GET", "/stats", {}, Map, "show the state of the user map"},
    {"explain",
     "USER[@IP]",
     "POST",
     "/explain",
     {"user"},
     Explained,
     "explain what would happen to a user's login"},
    {"kill",
     "ID | user=U | ip=IP | destination=ADDR",
     "POST",
     "/kill",
     {"id"},
     Killed,
     "end the sessions that match all given filters"},
    {"drain",
     "ADDR",
     "POST",
     "/drain",
     {"destination"},
     Done,
     "send no new sessions to a server; existing ones continue"},
    {"maint",
     "ADDR",
     "POST",
     "/maint",
     {"destination"},
     Done,
     "drain, and end the server's sessions"},
    {"ready", "ADDR", "POST", "/ready", {"destination"}, Done, "send sessions to a server again"},
    {"set",
     "LIMIT VALUE",
     "POST",
     "/set",
     {"name", "value"},
     Done,
     "change a limit until its option changes in the configuration"},
    {"log",
     "error|warning|info|debug",
     "POST",
     "/log",
     {"level"},
     Done,
     "set the log level until --log-level changes"},
    {"reload", "", "POST", "/reload", {}, Done, "reload the configuration and the map, like HUP"},
    {"upgrade", "", "POST", "/upgrade", {}, Done, "hand over to a new process, like USR2"},
    {"stop", "", "POST", "/stop", {}, Done, "accept no more clients and end, like TERM"},
    {"top", "", "GET", "/stats", {}, nullptr, "show status and sessions every two seconds"},
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

// Formats an answer. One of another version, or of another program, may lack any field.
Result<std::string> Show(std::string (*show)(const Json&), const std::string& answer, Json* tree) {
  try {
    *tree = Json::parse(answer);
    return show(*tree);
  } catch (const Json::exception& e) {
    return Error{
        Fault::kSystem,
        std::string("unexpected answer, perhaps from another version of rum: ") + e.what()};
  }
}

int Fail(const Error& error) {
  std::string text;
  AppendPrintable(text, error.text);
  std::fprintf(stderr, "rumctl: %s\n", text.c_str());
  return error.fault == Fault::kSystem ? kUnreachable : kRefused;
}

// Repeats until interrupted; prints once if standard output is not a terminal.
int Top(const std::string& socket) {
  for (bool terminal = ::isatty(STDOUT_FILENO);;) {
    auto stats = Ask(socket, "GET", "/stats");
    if (!stats) return Fail(stats.error());
    auto sessions = Ask(socket, "GET", "/sessions?limit=30");
    if (!sessions) return Fail(sessions.error());
    Json tree;
    auto above = Show(Status, *stats, &tree), below = Show(Sessions, *sessions, &tree);
    if (!above) return Fail(above.error());
    if (!below) return Fail(below.error());
    std::printf("%s%s\n%s", terminal ? "\x1b[H\x1b[2J" : "", above->c_str(), below->c_str());
    std::fflush(stdout);
    if (!terminal) return 0;
    std::this_thread::sleep_for(std::chrono::seconds(2));
  }
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
    bool plain = equals == word.npos || (next && std::string_view(next) == "user");
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
  return tree.value("possible", Json(true)) == Json(false) ? kRefused : 0;
}

int Main(int argc, char** argv) {
  CLI::App app("rumctl shows the state of a running rum and controls it.", "rumctl");
  const char* from_environment = std::getenv("RUM_CONTROL");
  std::string socket = from_environment ? from_environment : kDefaultSocket;
  bool json = false;
  app.add_option("-s,--socket", socket, "the socket of rum --control")->type_name("PATH");
  app.add_flag("--json", json, "print rum's answer as JSON");
  app.set_version_flag("--version", "rumctl " PACKAGE_VERSION);
  app.require_subcommand(1);
  app.fallthrough();
  std::vector<std::string> words;
  for (const Command& command : kCommands) {
    auto* sub = app.add_subcommand(command.name, command.help);
    if (*command.words) sub->add_option("words", words, "")->type_name(command.words);
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& e) {
    return app.exit(e);
  } catch (const CLI::Error& e) {
    std::fprintf(stderr, "rumctl: %s (rumctl --help)\n", e.what());
    return kUsage;
  }
  if (socket.starts_with("sock:")) socket.erase(0, 5);
  std::string name = app.get_subcommands().front()->get_name();
  auto command = std::find_if(std::begin(kCommands), std::end(kCommands),
                              [&](const Command& c) { return name == c.name; });
  return Run(*command, words, socket, json);
}

}  // namespace
}  // namespace rum

int main(int argc, char** argv) { return rum::Main(argc, argv); }
