#include "probe/explainer.h"

#include <fmt/format.h>
#include <time.h>

#include <algorithm>

#include "base/close_reasons.h"
#include "limits/admission.h"
#include "limits/gate.h"
#include "limits/verdicts.h"
#include "map/map_file.h"
#include "map/map_record.h"
#include "map/map_rules.h"
#include "module/module_config.h"
#include "proxy/probe.h"
#include "proxy/proxy.h"
#include "settings/settings.h"
#include "upstream/outages.h"

namespace rum {
namespace {

std::string_view AsWords(Refusal refusal) {
  if (refusal == Refusal::kDeny) return "REFUSED: in --deny";
  return refusal == Refusal::kAllow ? "REFUSED: not in --allow" : "";
}

// The rules that can be judged without the login: the address if it is given, TLS never.
int32_t Judge(MapRules rules, const ExplainQuestion& question) {
  rules.needs_tls = false;
  if (!question.from) {
    rules.allow.reset();
    rules.deny = CidrSet();
  }
  return JudgeRules(
      rules,
      {.user = question.user, .address = question.from.value_or(SocketAddress()), .safe_way = true},
      ::time(nullptr));
}

}  // namespace

Explainer::Explainer(Proxy& proxy) : proxy_(proxy), queue_(proxy.main_queue()) {}

void Explainer::Ask(ExplainQuestion question, Done done) {
  open_.push_back({.question = std::move(question),
                   .done = std::move(done),
                   .told = {},
                   .allowed = true,
                   .servers = {},
                   .server = 0});
  if (open_.size() == 1) Begin();
}

void Explainer::Begin() {
  Tell("user", open_.front().question.user);
  TellClient();
  TellRecord();
  TellWay();
}

void Explainer::Finish() {
  Open over = std::move(open_.front());
  open_.pop_front();
  over.told.possible &= over.allowed;
  over.done(std::move(over.told));
  if (!open_.empty()) queue_.Post([this] { Begin(); });
}

void Explainer::Tell(std::string key, std::string value) {
  open_.front().told.lines.emplace_back(std::move(key), std::move(value));
}

// What is looked at before any module sees the client.
void Explainer::TellClient() {
  Open& o = open_.front();
  if (!o.question.from) return;
  const Settings& settings = *proxy_.settings();
  const SocketAddress& from = *o.question.from;
  std::string_view why = AsWords(settings.gate.Judge(from));
  if (why.empty() && proxy_.admission().guard().Blocks(settings.admission.guard, from)) {
    why = "REFUSED: blocked for failed logins";
  }
  Tell("from", fmt::format("{}{}{}", from.host(), why.empty() ? "" : ", ", why));
  o.allowed &= why.empty();
  if (!from.ip()) return;
  // Lists of their own; who may come in by one of the listeners may come in.
  bool open = settings.listeners.empty();
  for (const Address& listener : settings.listeners) {
    auto own = settings.gate.by_listener.find(listener.text());
    Refusal refusal =
        own == settings.gate.by_listener.end() ? Refusal::kNone : own->second.Judge(from);
    open |= refusal == Refusal::kNone;
    if (own == settings.gate.by_listener.end()) continue;
    std::string_view words = AsWords(refusal);
    Tell("  " + listener.text(), std::string(words.empty() ? "open" : words));
  }
  o.allowed &= open;
}

void Explainer::TellRecord() {
  Open& o = open_.front();
  const auto& map = proxy_.map();
  if (!map) return;
  std::string_view value;
  if (map->Find(o.question.user, &value) != MapFile::Answer::kFound) {
    return Tell("map", "does not know this user");
  }
  auto record = ParseMapRecord(value);
  // The module says what becomes of a record that is written wrong.
  if (!record) return Tell("map", "the record " + record.error().text);
  Tell("map", fmt::format("{}, {}", record->destination,
                          record->secret.empty() ? "no stored secret" : "with a stored secret"));
  for (const std::string& rule : DescribeMapRules(record->tail)) Tell("rule", rule);
  auto rules = ParseMapRules(record->tail);
  int32_t verdict = rules ? Judge(*rules, o.question) : RUM_REFUSED_RULES;
  if (verdict != RUM_OK) {
    o.allowed = false;
    return Tell("rules", fmt::format("REFUSED: {}", kAdmissionVerdicts[verdict - 1].word));
  }
  if (record->tail.empty()) return;
  Tell("rules", o.question.from ? "allowed from " + o.question.from->host()
                                : "allowed; for one address ask for USER@ADDRESS");
}

void Explainer::TellWay() {
  const ModuleConfig& config = *proxy_.module_config();
  if (config.module().probe_open) return ProbeFor(std::nullopt, &Explainer::OnWay);
  Tell("way", fmt::format("the module {} reads no names: all go to the default destination",
                          config.module().name));
  open_.front().told.possible = true;
  Finish();
}

void Explainer::OnWay(ProbeOutcome way) {
  for (auto& [key, value] : way.notes) Tell(key, value);
  if (way.reason != RUM_CLOSE_PROBED) {
    Tell("way",
         "NONE: " + (way.text.empty() ? std::string(CloseReasonWord(way.reason)) : way.text));
    return Finish();
  }
  open_.front().servers = std::move(way.route);
  TellServer();
}

void Explainer::TellServer() {
  Open& o = open_.front();
  if (o.server == o.servers.size()) return Finish();
  const Address& server = o.servers[o.server];
  Tell("server", server.text());
  ProbeFor(server, &Explainer::OnServer);
}

void Explainer::OnServer(ProbeOutcome found) {
  Open& o = open_.front();
  const std::string server = o.servers[o.server].text();
  if (!found.peer.empty()) {
    Tell("  connected", fmt::format("to {}, asked in {:.3f} s", found.peer,
                                    static_cast<double>(found.micros) / 1e6));
  }
  for (auto& [key, value] : found.notes) Tell("  " + key, value);
  bool well = found.reason == RUM_CLOSE_PROBED;
  Tell("  state", well ? "well"
                       : fmt::format("NOT WELL: {}{}{}", CloseReasonWord(found.reason),
                                     found.text.empty() ? "" : ", ", found.text));
  bool held = false;
  for (const auto& outage : proxy_.outages().List(Outages::kMost)) {
    if (outage.server != server || outage.hold == Hold::kReady) continue;
    held = true;
    Tell("  use", "OUT OF USE: an operator has said so (rumctl ready ends it)");
  }
  o.told.possible |= well && !held;
  ++o.server;
  TellServer();
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
