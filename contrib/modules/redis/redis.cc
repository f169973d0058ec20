// Routes Redis and Valkey by user name: reads the first AUTH or HELLO, asks the user map for the
// user's server, lets that server check the password, and relays. Read it as an example of a
// module: Login() is the whole conversation.
#include <algorithm>
#include <cctype>
#include <iterator>
#include <optional>
#include <rum/dialogue.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace {

using namespace rum::dialogue;

constexpr size_t kWordsMost = 8;       // HELLO 3 AUTH user password SETNAME name
constexpr size_t kCommandMost = 4096;  // before the login; servers have a similar limit

// A command as clients send it (RESP): *2\r\n$4\r\nAUTH\r\n$6\r\nsecret\r\n.
struct Command {
  std::vector<std::string> words;

  // The number between `mark` and CR LF, of at most 6 digits. nullopt: more bytes are needed, or it
  // is not a number, and then `bad` is set.
  static std::optional<size_t> TakeNumber(std::string_view& rest, char mark, bool* bad) {
    size_t end = rest.find("\r\n");
    std::string_view digits = rest.substr(0, end);
    if (!digits.empty() && digits[0] != mark) *bad = true;
    if (!digits.empty()) digits.remove_prefix(1);
    if (end == rest.npos && digits.ends_with('\r')) digits.remove_suffix(1);
    size_t number = 0;
    for (char c : digits) {
      if (c < '0' || c > '9') *bad = true;
      number = number * 10 + static_cast<size_t>(c - '0');
    }
    if (digits.size() > 6 || (end != rest.npos && digits.empty())) *bad = true;
    if (*bad || end == rest.npos) return std::nullopt;
    rest.remove_prefix(end + 2);
    return number;
  }

  Parse Read(std::string_view bytes) {
    words.clear();
    std::string_view rest = bytes;
    bool bad = false;
    const Parse more = bytes.size() < kCommandMost ? Parse::Need(bytes.size() + 1) : Parse::Bad();
    std::optional<size_t> count = TakeNumber(rest, '*', &bad);
    if (!count) return bad ? Parse::Bad() : more;
    if (*count == 0 || *count > kWordsMost) return Parse::Bad();
    for (size_t i = 0; i < *count; ++i) {
      std::optional<size_t> size = TakeNumber(rest, '$', &bad);
      if (!size) return bad ? Parse::Bad() : more;
      if (*size > kCommandMost) return Parse::Bad();
      if (rest.size() < *size + 2) return more;
      words.emplace_back(rest.substr(0, *size));
      rest.remove_prefix(*size + 2);
    }
    return Parse::Whole(bytes.size() - rest.size());
  }

  bool Is(size_t at, std::string_view word) const {
    return at < words.size() && words[at].size() == word.size() &&
           std::equal(word.begin(), word.end(), words[at].begin(), [](char a, char b) {
             return a == std::toupper(static_cast<unsigned char>(b));
           });
  }
  // The user that the command logs in: AUTH [user] password, HELLO version AUTH user password.
  std::optional<std::string> User() const {
    if (Is(0, "AUTH") && words.size() == 2) return "default";
    if (Is(0, "AUTH") && words.size() == 3) return words[1];
    for (size_t i = 2; Is(0, "HELLO") && i + 2 < words.size(); ++i) {
      if (Is(i, "AUTH")) return words[i + 1];
    }
    return std::nullopt;
  }
};

void Refuse(Dialogue& d, Reason reason, std::string_view error) {
  d.client.Send("-" + std::string(error) + "\r\n");
  d.Close(reason);
}

constexpr std::string_view kWrongPassword =
    "WRONGPASS invalid username-password pair or user is disabled.";

// [worker]
Script Login(Dialogue& d) {
  Command command;
  std::string login;  // the client's login command, for the server
  std::optional<std::string> user;
  while (!user) {
    View bytes = co_await d.client.Frame([&](std::string_view b) { return command.Read(b); });
    if (bytes.reason() == Reason(RUM_CLOSE_CLIENT_PROTOCOL)) {
      co_return Refuse(d, bytes.reason(), "ERR Protocol error");
    }
    if (!bytes) co_return;
    login = bytes.text();
    user = command.User();
    if (user) break;
    if (command.Is(0, "QUIT")) {
      d.client.Send("+OK\r\n");
      co_return d.Close(RUM_CLOSE_CLIENT_GONE);
    }
    d.client.Send("-NOAUTH Authentication required.\r\n");
  }

  d.Identify(*user);
  Record found = co_await d.Lookup(*user);
  if (found.status() == Record::kUnavailable) {
    co_return Refuse(d, found.reason(), "LOADING the user map is not available");
  }
  if (d.Blocked() || d.Admit(found.value()) != RUM_OK)
    co_return Refuse(d, RUM_CLOSE_DENIED, kWrongPassword);
  // Unknown users have no record: the default destination.
  if (found.status() == Record::kFound && found.destination().empty())
    co_return Refuse(d, RUM_CLOSE_BAD_DESTINATION, "MASTERDOWN the user has no server");
  Reason failed = co_await d.Connect(found.destination());
  if (failed == Reason(RUM_CLOSE_NO_DESTINATION)) {
    d.LoginFailed();
    co_return Refuse(d, failed, kWrongPassword);
  }
  if (failed) co_return Refuse(d, failed, "MASTERDOWN the user's server does not answer");

  d.upstream.Send(login);
  View verdict = co_await d.upstream.Peek(1);
  if (!verdict) co_return Refuse(d, verdict.reason(), "MASTERDOWN the user's server has left");
  if (verdict.text()[0] == '-') {
    View error = co_await d.upstream.Line(kCommandMost);
    if (!error) co_return;
    d.LoginFailed();
    d.client.Send(error.text());
    co_return d.Close(RUM_CLOSE_UPSTREAM_DENIED);
  }
  d.Relay();  // passes on the server's answer, and what the client sent after its AUTH
}

constexpr rum_module Table() {
  rum_module table = Hooks<Login>::Table();
  table.name = "redis";
  table.version = "1.0";
  table.summary = "routes Redis and Valkey by user name";
  return table;
}

}  // namespace

extern "C" RUM_MODULE_EXPORT constexpr rum_module RUM_MODULE_SYMBOL = Table();
