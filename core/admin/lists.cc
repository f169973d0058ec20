#include "admin/lists.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "admin/merge.h"
#include "admin/statistics.h"
#include "admin/user_history.h"
#include "base/clock.h"
#include "limits/admission.h"
#include "proxy/proxy.h"
#include "proxy/session_list.h"
#include "rum/module.h"

namespace rum::command {
namespace {

constexpr size_t kListed = 1000;  // default number of entries in a list

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

}  // namespace

void Sessions(const Call& call) { ListSessions(call, 0); }

void Kill(const Call& call) { ListSessions(call, RUM_CLOSE_KILLED); }

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

}  // namespace rum::command
