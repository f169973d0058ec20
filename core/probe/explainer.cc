#include "probe/explainer.h"

#include <fmt/format.h>
#include <time.h>

#include <algorithm>

#include "base/close_reasons.h"
#include "base/units.h"
#include "geo/geo_database.h"
#include "limits/access_control.h"
#include "limits/admission.h"
#include "limits/verdicts.h"
#include "lookup/map_walk.h"
#include "map/map_file.h"
#include "map/map_record.h"
#include "map/map_rules.h"
#include "module/module_config.h"
#include "proxy/probe.h"
#include "proxy/proxy.h"
#include "settings/settings.h"
#include "upstream/server_health.h"

namespace rum {
namespace {

std::string_view AsWords(Refusal refusal) {
  if (refusal == Refusal::kDeny) return "REFUSED: in --deny";
  return refusal == Refusal::kAllow ? "REFUSED: not in --allow" : "";
}

// Checks the rules that do not need a login: the client's address if it is given, but not TLS.
int32_t Judge(MapRules rules, const ExplainQuestion& question, const GeoDatabase* geo) {
  rules.needs_tls = false;
  if (!question.from) {
    rules.allow.reset();
    rules.deny = CidrSet();
    rules.country.reset();
    rules.not_country = CountrySet();
  }
  return JudgeRules(rules,
                    {.user = question.user,
                     .address = question.from.value_or(SocketAddress()),
                     .safe_way = true,
                     .geo = geo},
                    ::time(nullptr));
}

}  // namespace

Explainer::Explainer(Proxy& proxy) : proxy_(proxy), queue_(proxy.main_queue()) {}

void Explainer::Ask(ExplainQuestion question, Done done) {
  open_.push_back({.question = std::move(question),
                   .done = std::move(done),
                   .explanation = {},
                   .walk = nullptr,
                   .allowed = true,
                   .servers = {},
                   .server = 0});
  if (open_.size() == 1) Begin();
}

void Explainer::Begin() {
  AddLine("user", open_.front().question.user);
  DescribeClient();
  FindRecord();
}

void Explainer::Finish() {
  Open over = std::move(open_.front());
  open_.pop_front();
  over.explanation.possible &= over.allowed;
  over.done(std::move(over.explanation));
  if (!open_.empty()) queue_.Post([this] { Begin(); });
}

void Explainer::AddLine(std::string key, std::string value) {
  open_.front().explanation.lines.emplace_back(std::move(key), std::move(value));
}

// Checks that happen before a module sees the client.
void Explainer::DescribeClient() {
  Open& o = open_.front();
  if (!o.question.from) return;
  const Settings& settings = *proxy_.settings();
  const SocketAddress& from = *o.question.from;
  const GeoDatabase* geo = proxy_.geo().get();
  std::string_view why = AsWords(settings.access_control.Judge(from, geo));
  if (why.empty() && proxy_.admission().guard().Blocks(settings.admission.guard, from)) {
    why = "REFUSED: blocked for failed logins";
  }
  AddLine("from", fmt::format("{}{}{}", from.host(), why.empty() ? "" : ", ", why));
  o.allowed &= why.empty();
  if (!from.ip()) return;
  if (geo) {
    const Country country = geo->Find(from);
    AddLine("  country", country ? country.text() : "unknown");
  }
  // Listeners can have their own lists; one that accepts the client is enough.
  bool open = settings.listeners.empty();
  for (const Address& listener : settings.listeners) {
    auto own = settings.access_control.by_listener.find(listener.text());
    Refusal refusal = own == settings.access_control.by_listener.end()
                          ? Refusal::kNone
                          : own->second.Judge(from, geo);
    open |= refusal == Refusal::kNone;
    if (own == settings.access_control.by_listener.end()) continue;
    std::string_view words = AsWords(refusal);
    AddLine("  " + listener.text(), std::string(words.empty() ? "open" : words));
  }
  o.allowed &= open;
}

// Asks the sources as a session does.
void Explainer::FindRecord() {
  if (!proxy_.map() && !proxy_.remote_map()) return DescribeRoute();
  Open& o = open_.front();
  if (!o.walk) o.walk = std::make_unique<MapWalk>(o.question.user);
  const auto map = proxy_.map();
  auto make_waiter = [this] {
    return [this, &queue = queue_](RemoteAnswer answer) {
      queue.Post([this, answer = std::move(answer)]() mutable {
        open_.front().walk->Take(std::move(answer));
        FindRecord();
      });
    };
  };
  const MapWalk::Kind kind = o.walk->Go(map.get(), proxy_.remote_map(), make_waiter);
  if (kind == MapWalk::Kind::kWait) return;
  if (proxy_.remote_map()) DescribeSource(kind);
  if (kind == MapWalk::Kind::kFound) {
    DescribeRecord(o.walk->value());
  } else if (kind == MapWalk::Kind::kNotFound) {
    AddLine("map", "has no record of this name");
  } else {
    o.allowed = false;
    AddLine("map", "UNAVAILABLE: it cannot be said whether there is this user");
  }
  o.walk.reset();
  DescribeRoute();
}

void Explainer::DescribeSource(MapWalk::Kind kind) {
  const MapWalk& walk = *open_.front().walk;
  if (!walk.why().empty()) AddLine("source", "DOWN: " + walk.why());
  if (kind != MapWalk::Kind::kFound) return;
  AddLine("source", proxy_.remote_map()->sources()[walk.source()].text);
}

void Explainer::DescribeRecord(std::string_view value) {
  Open& o = open_.front();
  auto record = ParseMapRecord(value);
  // The module decides what happens to an invalid record.
  if (!record) return AddLine("map", "the record " + record.error().text);
  AddLine("map", fmt::format("{}, {}", record->destination,
                             record->secret.empty() ? "no stored secret" : "with a stored secret"));
  for (const std::string& rule : DescribeMapRules(record->tail)) AddLine("rule", rule);
  auto rules = ParseMapRules(record->tail);
  int32_t verdict = rules ? Judge(*rules, o.question, proxy_.geo().get()) : RUM_REFUSED_RULES;
  DescribeOthers(rules && rules->max ? *rules->max : proxy_.settings()->admission.limit.max);
  if (verdict != RUM_OK) {
    o.allowed = false;
    return AddLine("rules", fmt::format("REFUSED: {}", kAdmissionVerdicts[verdict - 1].word));
  }
  if (record->tail.empty()) return;
  AddLine("rules", o.question.from ? "allowed from " + o.question.from->host()
                                   : "allowed; to check an address, use USER@ADDRESS");
}

// Where other processes count, too, and how it stands now.
void Explainer::DescribeOthers(uint32_t limit) {
  if (!proxy_.share()) return;
  Open& o = open_.front();
  const uint64_t here = proxy_.admission().users().Sessions(o.question.user);
  const uint64_t there = proxy_.other_nodes().SessionsOfUser(o.question.user);
  const bool full = limit && here + there >= limit;
  o.allowed &= !full;
  AddLine("sessions", fmt::format("{} here, {} in other processes (--share){}{}", here, there,
                                  limit ? fmt::format(", of at most {}", limit) : "",
                                  full ? ": REFUSED: connections" : ""));
}

void Explainer::DescribeRoute() {
  const ModuleConfig& config = *proxy_.module_config();
  if (config.module().probe_open) return ProbeFor(std::nullopt, &Explainer::OnRoute);
  const char* why = config.module().looked_up
                        ? "asks the map, but makes no probes: servers are not tried"
                        : "reads no user names: all use the default destination";
  AddLine("way", fmt::format("the module {} {}", config.module().name, why));
  open_.front().explanation.possible = true;
  Finish();
}

void Explainer::OnRoute(ProbeOutcome way) {
  for (auto& [key, value] : way.notes) AddLine(key, value);
  if (way.reason != RUM_CLOSE_PROBED) {
    AddLine("way",
            "NONE: " + (way.text.empty() ? std::string(CloseReasonWord(way.reason)) : way.text));
    return Finish();
  }
  open_.front().servers = std::move(way.route);
  DescribeServer();
}

void Explainer::DescribeServer() {
  Open& o = open_.front();
  if (o.server == o.servers.size()) return Finish();
  const Address& server = o.servers[o.server];
  AddLine("server", server.text());
  ProbeFor(server, &Explainer::OnServer);
}

void Explainer::OnServer(ProbeOutcome found) {
  Open& o = open_.front();
  const std::string server = o.servers[o.server].text();
  if (!found.peer.empty()) {
    AddLine("  connected", fmt::format("to {}, check time {}", found.peer,
                                       ShowDuration(static_cast<double>(found.micros) / 1e6)));
  }
  for (auto& [key, value] : found.notes) AddLine("  " + key, value);
  bool up = found.reason == RUM_CLOSE_PROBED;
  AddLine("  state", up ? "up"
                        : fmt::format("DOWN: {}{}{}", CloseReasonWord(found.reason),
                                      found.text.empty() ? "" : ", ", found.text));
  bool disabled = false;
  for (const auto& one : proxy_.server_health().List(ServerHealth::kMost)) {
    if (one.server != server || one.admin == AdminState::kReady) continue;
    disabled = true;
    AddLine("  use", fmt::format("DISABLED: rumctl {}; enable it by rumctl ready",
                                 kAdminStateWords[static_cast<size_t>(one.admin)]));
  }
  o.explanation.possible |= up && !disabled;
  ++o.server;
  DescribeServer();
}

void Explainer::ProbeFor(std::optional<Address> server, void (Explainer::*then)(ProbeOutcome)) {
  Probe probe;
  probe.destination = std::move(server);
  probe.user = open_.front().question.user;
  probe.done = [this, then](ProbeOutcome outcome) {
    queue_.Post([this, then, outcome = std::move(outcome)]() mutable {
      (this->*then)(std::move(outcome));
    });
  };
  proxy_.BeginProbe(std::move(probe));
}

}  // namespace rum
