#include "admin/commands.h"

#include <algorithm>
#include <iterator>
#include <string_view>
#include <utility>
#include <vector>

#include "admin/call.h"
#include "admin/generations.h"
#include "admin/limits_list.h"
#include "admin/lists.h"
#include "admin/merge.h"
#include "admin/server_commands.h"
#include "admin/statistics.h"
#include "admin/unblock.h"
#include "base/log.h"
#include "lookup/remote_map.h"
#include "probe/explainer.h"
#include "proxy/proxy.h"

namespace rum {
namespace {

using namespace command;

using Words = std::vector<std::string_view>;

constexpr size_t kValueLogged = 200;  // bytes

struct Row {
  std::string_view path;
  Words words;
  void (*answer)(const Call& call);
  bool inherited = false;  // the next process begins with what it has set
};

// The path with all its parameters.
std::string Repeated(const Row& row, const Request& request) {
  std::string what(row.path);
  for (std::string_view word : row.words) {
    auto value = request.Get(std::string(word).c_str());
    if (!value) continue;
    what += what.size() == row.path.size() ? '?' : '&';
    what.append(word).append("=").append(Encoded(*value));
  }
  return what;
}

void Limits(const Call& call) { ReplyJson(*call.request, LimitsJson(call.overview.proxy)); }

const Row kLists[] = {
    {"/sessions", {"id", "user", "ip", "destination", "limit"}, Sessions},
    {"/users", {"limit", "since"}, Users},
    {"/limits", {}, Limits},
};

// -- commands -------------------------------------------------------------------------------------

Actions::Answer AnswerTo(const Call& call) {
  return [request = call.request](const Status& status, const std::string& done) {
    request->Reply(status, done);
  };
}

void Reload(const Call& call) { call.actions->reload(AnswerTo(call)); }
void Upgrade(const Call& call) { call.actions->upgrade(AnswerTo(call)); }

void Stop(const Call& call) {
  call.request->Reply(Ok(), "draining");
  call.actions->stop();
}

void SetLog(const Call& call) {
  std::string word = call.request->Get("level").value_or("");
  auto level = log::FindLevel(word);
  if (!level) return Refuse(call, "level must be error, warning, info or debug");
  auto set = call.actions->set_log_level(*level);
  if (!set) return call.request->Reply(set, "");
  ReplyForAll(AskOlder(call), call.request, "level " + word);
}

void SetLimit(const Call& call) {
  auto name = call.request->Get("name"), value = call.request->Get("value");
  if (!name || !value) return Refuse(call, "name a limit and its new value");
  call.request->Reply(call.actions->set_limit(*name, *value), *name + " is " + *value);
}

void UnblockAddress(const Call& call) {
  auto address = call.request->Get("address");
  if (!address) return Refuse(call, "name an address");
  const auto done = Unblock(call.overview.proxy, *address);
  if (!done) return Refuse(call, done.error().text);
  log::Info("by an operator: {}", *done);
  ReplyForAll(AskOlder(call), call.request, *done);
}

void Explain(const Call& call) {
  UserAtAddress who = SplitUserAtAddress(call.request->Get("user").value_or(""));
  if (who.user.empty()) return Refuse(call, "give a user name");
  const std::string sessions = "/sessions?limit=0&user=" + Encoded(who.user);
  ExplainQuestion question{std::move(who.user), who.address};
  call.overview.explainer.Ask(
      std::move(question),
      [request = call.request, sessions, older = call.overview.older](Explanation explanation) {
        Json json = {{"possible", explanation.possible}, {"lines", Json::array()}};
        for (const auto& [key, value] : explanation.lines) json["lines"].push_back({key, value});
        if (!older) return ReplyJson(*request, json);
        older->List(sessions, [request, json](const auto& answers) mutable {
          for (auto& line : ExplainOlder(*answers)) {
            json["lines"].push_back({"older process", std::move(line)});
          }
          ReplyJson(*request, json);
        });
      });
}

// One user, or all=1.
void ForgetMap(const Call& call) {
  const auto user = call.request->Get("user"), all = call.request->Get("all");
  if (user.has_value() == all.has_value()) return Refuse(call, "name a user, or say --all");
  RemoteMap* remote = call.overview.proxy.remote_map();
  if (!remote)
    return Refuse(call, "the user map has no source on another machine: nothing is cached");
  user ? remote->Forget(*user) : remote->ForgetAll();
  call.request->Reply(Ok(), user ? "forgotten: the next login of this user asks the source"
                                 : "forgotten: the next logins ask the sources");
}

const Row kCommands[] = {
    {"/kill", {"id", "user", "ip", "destination"}, Kill},
    {"/drain", {"destination"}, Drain, true},
    {"/maint", {"destination"}, Maintain, true},
    {"/ready", {"destination"}, Ready, true},
    {"/map/forget", {"user", "all"}, ForgetMap},
    {"/pause", {"user", "server", "time"}, Pause, true},
    {"/resume", {"user", "server"}, Resume, true},
    {"/unblock", {"address"}, UnblockAddress},
    {"/set", {"name", "value"}, SetLimit},
    {"/explain", {"user"}, Explain},
    {"/log", {"level"}, SetLog},
    {"/reload", {}, Reload},
    {"/upgrade", {}, Upgrade},
    {"/stop", {}, Stop},
};

// Says who gave the command, as more than one user may open the socket.
void LogCommand(const Row& row, const Request& request) {
  std::string text;
  for (std::string_view word : row.words) {
    if (auto value = request.Get(std::string(word).c_str())) {
      text += fmt::format(" {}={}", word, value->substr(0, kValueLogged));
    }
  }
  const auto uid = request.peer_uid();
  log::Info("command of {}: {}{}", uid ? fmt::format("uid {}", *uid) : "an unknown user",
            row.path.substr(1), text);
}

// Rejects unknown parameters, so that a typo in a filter cannot widen the selection.
template <size_t kCount>
bool Answer(const Row (&rows)[kCount], Call call) {
  auto row = std::find_if(std::begin(rows), std::end(rows),
                          [&](const Row& r) { return r.path == call.request->path(); });
  if (row == std::end(rows)) return false;
  if (auto unknown = call.request->Unknown(row->words)) {
    std::string words;
    for (std::string_view word : row->words) words.append(" ").append(word);
    Refuse(call, "'" + *unknown +
                     "' is not a parameter; known parameters:" + (words.empty() ? " none" : words));
  } else if (row->inherited && call.overview.handing_over) {
    Refuse(call, "a new process is taking over: give this command again when it serves");
  } else {
    if (call.actions && row->answer != Explain) LogCommand(*row, *call.request);
    if (call.overview.older) call.same = Repeated(*row, *call.request);
    row->answer(call);
  }
  return true;
}

}  // namespace

bool AnswerList(const Overview& overview, const UserHistory& users,
                const std::shared_ptr<Request>& request) {
  return Answer(kLists, {overview, nullptr, &users, request, {}});
}

bool AnswerCommand(const Overview& overview, const Actions& actions,
                   const std::shared_ptr<Request>& request) {
  return Answer(kCommands, {overview, &actions, nullptr, request, {}});
}

}  // namespace rum
