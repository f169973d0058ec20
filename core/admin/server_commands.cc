#include "admin/server_commands.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <utility>

#include "admin/map_sources.h"
#include "admin/merge.h"
#include "admin/pause_request.h"
#include "admin/statistics.h"
#include "base/log.h"
#include "base/units.h"
#include "map/map_file.h"
#include "proxy/login_pauses.h"
#include "proxy/proxy.h"
#include "proxy/session_list.h"
#include "rum/module.h"
#include "settings/settings.h"
#include "upstream/server_health.h"

namespace rum::command {
namespace {

constexpr std::string_view kNotNamed = "; no option and no record of the map names it";

// Whether the map is known to have no record of the user. Sources on other machines are not asked.
bool Unknown(const Proxy& proxy, const std::string& user) {
  const auto map = proxy.map();
  std::string_view value;
  return map && !proxy.remote_map() && map->Find(user, &value) == MapFile::Answer::kNotFound;
}

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

}  // namespace

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
  if (!of->server && Unknown(call.overview.proxy, of->name)) {
    done += "; the map has no record of this name";
  }
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
    std::string done =
        fmt::format("{}: resumed, which lets {} go on", name, Counted(held.value_or(0), "login"));
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

}  // namespace rum::command
