#include "admin/commands.h"

#include <event2/http.h>
#include <stdlib.h>

#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>
#include <vector>

#include "admin/limits_list.h"
#include "admin/map_sources.h"
#include "admin/merge.h"
#include "admin/pause_request.h"
#include "admin/statistics.h"
#include "admin/unblock.h"
#include "admin/user_history.h"
#include "base/clock.h"
#include "base/escape.h"
#include "base/log.h"
#include "limits/admission.h"
#include "lookup/remote_map.h"
#include "probe/explainer.h"
#include "proxy/login_pauses.h"
#include "proxy/proxy.h"
#include "proxy/session_list.h"
#include "rum/module.h"
#include "settings/settings.h"
#include "upstream/server_health.h"

namespace rum {
namespace {

using Json = nlohmann::ordered_json;
using Words = std::vector<std::string_view>;

constexpr size_t kValueLogged = 200;  // bytes
constexpr size_t kListed = 1000;      // default number of entries in a list

struct Call {
  const Overview& overview;
  const Actions* actions;    // nullptr for lists
  const UserHistory* users;  // nullptr for commands
  std::shared_ptr<Request> request;
  std::string same;  // the same request, for an older process
};

struct Row {
  std::string_view path;
  Words words;
  void (*answer)(const Call& call);
  bool inherited = false;  // the next process begins with what it has set
};

void Refuse(const Call& call, const std::string& why) {
  call.request->Reply(400, kPlainText, why + "\n");
}

// For a query.
std::string Encoded(const std::string& text) {
  std::unique_ptr<char, void (*)(void*)> encoded(
      evhttp_uriencode(text.data(), static_cast<ev_ssize_t>(text.size()), 0), ::free);
  return encoded.get();
}

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

void ReplyJson(Request& request, const Json& json) {
  request.Reply(200, "application/json",
                ShowJson(json.dump(1, ' ', false, Json::error_handler_t::replace)) + "\n");
}

// What asks the older processes the same. It may be called once `call` is gone.
std::function<void(Generations::Done)> AskOlder(const Call& call) {
  return [older = call.overview.older, command = call.actions != nullptr,
          what = call.same](Generations::Done done) {
    if (!older) return done(std::make_shared<Generations::Answers>());
    command ? older->Command(what, std::move(done)) : older->List(what, std::move(done));
  };
}

// -- lists ----------------------------------------------------------------------------------------

Json SessionsJson(const SessionList& list) {
  Json json = {{"matched", list.matched}, {"sessions", Json::array()}};
  for (const SessionEntry& entry : list.entries) {
    Json one = {{"id", entry.id},
                {"client", entry.client},
                {"listener", entry.listener},
                {"state", entry.state},
                {"seconds", static_cast<double>(entry.micros) / 1e6},
                {"received", entry.received},
                {"sent", entry.sent}};
    if (entry.user) one["user"] = *entry.user;
    if (!entry.destination.empty()) one["destination"] = entry.destination;
    json["sessions"].push_back(std::move(one));
  }
  return json;
}

// Queries the workers; a nonzero `end` also ends the sessions.
void ListSessions(const Call& call, uint32_t end) {
  SessionFilter filter;
  filter.user = call.request->Get("user");
  if (auto ip = call.request->Get("ip")) {
    auto address = SocketAddress::Client(*ip);
    if (!address) return Refuse(call, "ip: " + address.error().text);
    filter.ip = address->host();
  }
  filter.destination = call.request->Get("destination");
  auto id = call.request->Number("id"), most = call.request->Number("limit");
  if (!id || !most) return Refuse(call, "id and limit must be numbers");
  filter.id = *id;
  if (end && !filter.user && !filter.ip && !filter.destination && !filter.id) {
    return Refuse(call, "specify id, user, ip or destination");
  }
  const size_t bound = std::min<uint64_t>(most->value_or(kListed), SessionLister::kMost);
  call.overview.proxy.lister().Ask(
      std::move(filter), bound, end,
      [request = call.request, bound, ask = AskOlder(call)](SessionList list) {
        auto json = std::make_shared<Json>(SessionsJson(list));  // large: not to be copied
        ask([request, bound, json](const auto& answers) {
          MergeSessions(*json, *answers, bound);
          ReplyJson(*request, *json);
        });
      });
}

void Sessions(const Call& call) { ListSessions(call, 0); }

void UsersSince(const Call& call, Millis time, uint64_t most, Json json) {
  const auto seconds = static_cast<uint64_t>(std::max<int64_t>(time.count(), 0)) / 1000;
  const UserHistory::Answer answer = call.users->Since(seconds, most);
  json["samples"] = answer.samples;
  for (const auto& one : answer.users) {
    json["users"].push_back(
        {{"user", one.user}, {"sessions_mean", one.mean}, {"sessions_most", one.most}});
  }
  AskOlder(call)([request = call.request, most, json](const auto& answers) mutable {
    MergeHistory(json, *answers, most);
    ReplyJson(*request, json);
  });
}

void Users(const Call& call) {
  auto most = call.request->Number("limit");
  if (!most) return Refuse(call, "limit must be a number");
  const auto& users = call.overview.proxy.admission().users();
  const Generations* older = call.overview.older;
  Json json = {{"active", CountUsers(users, older)}, {"users", Json::array()}};
  if (auto since = call.request->Get("since")) {
    auto time = ParseDuration(*since);
    if (!time) return Refuse(call, "since: " + time.error().text);
    return UsersSince(call, *time, most->value_or(kListed), std::move(json));
  }
  const size_t bound = std::min<uint64_t>(most->value_or(kListed), SessionLister::kMost);
  for (const auto& [user, sessions] : TopUsers(users, older, bound)) {
    json["users"].push_back({{"user", user}, {"sessions", sessions}});
    if (!call.overview.proxy.share()) continue;
    json["users"].back()["elsewhere"] = call.overview.proxy.other_nodes().SessionsOfUser(user);
  }
  ReplyJson(*call.request, json);
}

void Limits(const Call& call) { ReplyJson(*call.request, LimitsJson(call.overview.proxy)); }

const Row kLists[] = {
    {"/sessions", {"id", "user", "ip", "destination", "limit"}, Sessions},
    {"/users", {"limit", "since"}, Users},
    {"/limits", {}, Limits},
};

// -- commands -------------------------------------------------------------------------------------

void Kill(const Call& call) { ListSessions(call, RUM_CLOSE_KILLED); }

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

// Answers a command that this process has executed, once the older ones have.
void ReplyForAll(const std::function<void(Generations::Done)>& ask_older,
                 const std::shared_ptr<Request>& request, const std::string& done) {
  ask_older([request, done](const auto& answers) {
    const Result<std::string> also = AlsoDone(*answers);
    if (also) return request->Reply(Ok(), done + *also);
    request->Reply(Error{Fault::kSystem, done + also.error().text}, "");
  });
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

constexpr std::string_view kNotNamed = "; no option and no record of the map names it";

// Whether a server is known to be in use: a map may name more servers than are remembered.
bool InUse(const Overview& overview, const Address& server) {
  const auto& defaults = overview.proxy.settings()->destinations;
  if (std::find(defaults.begin(), defaults.end(), server) != defaults.end()) return true;
  if (overview.proxy.loads().Sessions(server.text()) > 0) return true;
  if (overview.older && overview.older->SessionsAt(server.text()) > 0) return true;
  if (!overview.map_destinations) return false;
  const auto& mapped = *overview.map_destinations;
  return std::any_of(mapped.begin(), mapped.end(), [&](const std::string& text) {
    auto address = ParseAddress(text);
    return address && *address == server;
  });
}

void SetAdminState(const Call& call, AdminState state) {
  auto server = ParseAddress(call.request->Get("destination").value_or(""));
  if (!server) return Refuse(call, "give a destination: " + server.error().text);
  const std::string text = server->text();
  if (!call.overview.proxy.server_health().Set(text, state)) {
    return Refuse(call, "too many servers are already disabled");
  }
  if (state != AdminState::kReady) call.overview.proxy.DropKept(text);
  constexpr std::string_view kDone[] = {" takes new sessions", " takes no new sessions",
                                        " takes no new sessions, its sessions are ended"};
  std::string done = text + std::string(kDone[static_cast<size_t>(state)]);
  log::Info("by an operator: {}", done);
  if (!InUse(call.overview, *server)) done += kNotNamed;
  if (state != AdminState::kMaintenance) return ReplyForAll(AskOlder(call), call.request, done);
  SessionFilter filter;
  filter.destination = text;
  call.overview.proxy.lister().Ask(std::move(filter), 0, RUM_CLOSE_MAINTENANCE,
                                   [request = call.request, done, ask = AskOlder(call)](
                                       SessionList) { ReplyForAll(ask, request, done); });
}

void Ready(const Call& call) { SetAdminState(call, AdminState::kReady); }
void Drain(const Call& call) { SetAdminState(call, AdminState::kDrain); }
void Maintain(const Call& call) { SetAdminState(call, AdminState::kMaintenance); }

void Pause(const Call& call) {
  const auto of = ReadPauseOf(*call.request);
  if (!of) return Refuse(call, of.error().text);
  const auto time = ReadPauseTime(*call.request);
  if (!time) return Refuse(call, time.error().text);
  const Status begun = call.overview.proxy.pauses().Begin(of->kind, of->name, *time);
  if (!begun) return call.request->Reply(begun, "");
  std::string done =
      Describe(of->kind, of->name) + ": new logins wait, at most " + FormatDuration(*time);
  log::Info("by an operator: {}", done);
  if (of->server && !InUse(call.overview, *of->server)) done += kNotNamed;
  ReplyForAll(AskOlder(call), call.request, done);
}

// After a look at the map, as the user may have been moved just now.
void Resume(const Call& call) {
  auto of = ReadPauseOf(*call.request);
  if (!of) return Refuse(call, of.error().text);
  Proxy& proxy = call.overview.proxy;
  auto ask = AskOlder(call);
  call.actions->look_at_map([request = call.request, of = std::move(*of), ask, &proxy] {
    const std::string name = Describe(of.kind, of.name);
    const auto held = proxy.pauses().End(of.kind, of.name);
    std::string done = fmt::format("{}: resumed, {} logins go on", name, held.value_or(0));
    if (held) log::Info("by an operator: {}", done);
    for (const std::string& fault : SourceFaults(proxy)) {
      done += "; old records may serve, down: " + fault;
    }
    ask([request, name, done, here = held.has_value()](const auto& answers) {
      const auto also = AlsoDone(*answers, Refusals::kNothingToDo);
      if (!also) return request->Reply(Error{Fault::kSystem, done + also.error().text}, "");
      if (here || !also->empty()) return request->Reply(Ok(), done + *also);
      request->Reply(400, kPlainText, name + " is not paused\n");
    });
  });
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
