#include "explain.h"

#include <event2/event.h>
#include <event2/thread.h>
#include <fmt/format.h>
#include <time.h>

#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/log.h"
#include "limits/admission.h"
#include "limits/verdicts.h"
#include "map/map_file.h"
#include "map/map_record.h"
#include "map/map_rules.h"
#include "module/module_config.h"
#include "proxy/close_reasons.h"
#include "proxy/main_queue.h"
#include "proxy/probe.h"
#include "proxy/proxy.h"
#include "tls/tls_contexts.h"

namespace rum {
namespace {

void Tell(const char* key, const std::string& value) { fmt::print("{:<12} {}\n", key, value); }

// The rules that can be judged without the login: the address if it is given, TLS never.
int32_t Judge(MapRules rules, const Settings& settings) {
  rules.needs_tls = false;
  SocketAddress address;
  if (settings.explain_from) {
    address = *settings.explain_from;
  } else {
    rules.allow.reset();
    rules.deny = CidrSet();
  }
  return JudgeRules(rules, {.user = settings.explain, .address = address, .safe_way = true},
                    ::time(nullptr));
}

class Explainer {
 public:
  Explainer(std::shared_ptr<const Settings> settings, std::shared_ptr<const ModuleConfig> config,
            std::shared_ptr<const MapFile> map)
      : settings_(std::move(settings)),
        map_(std::move(map)),
        base_(event_base_new(), event_base_free),
        queue_(base_.get()),
        proxy_(base_.get(), settings_, std::move(config)) {}
  ~Explainer() { proxy_.Join(); }

  // False: the rules refuse the user.
  bool ExplainRecord() {
    Tell("user", settings_->explain);
    if (!map_) return true;
    std::string_view value;
    if (map_->Find(settings_->explain, &value) != MapFile::Answer::kFound) {
      Tell("map", "does not know this user");
      return true;
    }
    auto record = ParseMapRecord(value);
    if (!record) {
      Tell("map", "the record " + record.error().text);
      return true;  // the module says what becomes of it
    }
    Tell("map", fmt::format("{}, {}", record->destination,
                            record->secret.empty() ? "no stored secret" : "with a stored secret"));
    for (const std::string& rule : DescribeMapRules(record->tail)) Tell("rule", rule);
    auto rules = ParseMapRules(record->tail);
    int32_t verdict = rules ? Judge(*rules, *settings_) : RUM_REFUSED_RULES;
    if (verdict == RUM_OK) {
      if (!record->tail.empty() && !settings_->explain_from) {
        Tell("rules", "allowed; whether from an address, --from ADDRESS tells");
      } else if (!record->tail.empty()) {
        Tell("rules", "allowed from " + settings_->explain_from->host());
      }
      return true;
    }
    Tell("rules", fmt::format("REFUSED: {}", kAdmissionVerdicts[verdict - 1].word));
    return false;
  }

  // True: a server is there that would be asked for the login.
  Result<bool> ExplainWay(std::shared_ptr<const TlsContexts> tls) {
    const ModuleConfig& config = *proxy_.module_config();
    proxy_.SetMap(map_);
    proxy_.SetTls(std::move(tls));
    if (auto started = proxy_.Start(); !started) return started.error();
    if (!config.module().probe_open) {
      Tell("way", fmt::format("the module {} reads no names: all go to the default destination",
                              config.module().name));
      return true;
    }
    ProbeOutcome way = Ask(std::nullopt);
    for (const auto& [key, value] : way.notes) Tell(key.c_str(), value);
    if (way.reason != RUM_CLOSE_PROBED) {
      Tell("way",
           "NONE: " + (way.text.empty() ? std::string(CloseReasonWord(way.reason)) : way.text));
      return false;
    }
    bool any = false;
    for (const Address& server : way.route) any |= ExplainServer(server);
    return any;
  }

 private:
  bool ExplainServer(const Address& server) {
    Tell("server", server.text());
    ProbeOutcome found = Ask(server);
    bool well = found.reason == RUM_CLOSE_PROBED;
    if (!found.peer.empty()) {
      Tell("  connected", fmt::format("to {}, asked in {:.3f} s", found.peer,
                                      static_cast<double>(found.micros) / 1e6));
    }
    for (const auto& [key, value] : found.notes) Tell(("  " + key).c_str(), value);
    if (well) {
      Tell("  state", "well");
    } else {
      Tell("  state", fmt::format("NOT WELL: {}{}{}", CloseReasonWord(found.reason),
                                  found.text.empty() ? "" : ", ", found.text));
    }
    return well;
  }

  // Runs the loop until the answer is there. Without a server: where the user would go.
  ProbeOutcome Ask(std::optional<Address> server) {
    ProbeOutcome outcome;
    Probe probe;
    probe.destination = std::move(server);
    probe.user = settings_->explain;
    probe.done = [&](ProbeOutcome told) {
      queue_.Post([&, told = std::move(told)]() mutable {
        outcome = std::move(told);
        event_base_loopbreak(base_.get());
      });
    };
    proxy_.BeginProbe(std::move(probe));
    event_base_dispatch(base_.get());
    return outcome;
  }

  using Base = std::unique_ptr<event_base, decltype(&event_base_free)>;

  const std::shared_ptr<const Settings> settings_;
  const std::shared_ptr<const MapFile> map_;
  const Base base_;
  MainQueue queue_;
  Proxy proxy_;
};

}  // namespace

int Explain(const CommandLine& line) {
  auto fail = [](const Error& error) {
    std::fputs(("rum: " + error.text + "\n").c_str(), stderr);
    return static_cast<int>(error.fault);
  };
  // What is told is the answer: of the log only what went wrong belongs to it.
  auto settings = std::make_shared<Settings>(*line.settings);
  settings->workers = 1;
  settings->log = {.target = "stderr", .level = log::Level::kError};
  evthread_use_pthreads();
  if (auto opened = log::Open(settings->log); !opened) return fail(opened.error());
  auto config = ModuleConfig::Make(line.module, settings->module_values);
  if (!config) return fail(config.error());
  auto tls = TlsContexts::Make(settings->tls);
  if (!tls) return fail(tls.error());
  std::shared_ptr<const MapFile> map;
  if (!settings->map.empty()) {
    auto loaded = MapFile::Load(settings->map);
    if (!loaded) return fail(loaded.error());
    map = std::move(*loaded);
  }
  bool possible = false;
  {
    Explainer explainer(settings, std::move(*config), std::move(map));
    bool allowed = explainer.ExplainRecord();
    auto way = explainer.ExplainWay(std::move(*tls));
    if (!way) return fail(way.error());
    possible = allowed && *way;
  }
  log::Close();
  return possible ? 0 : static_cast<int>(Fault::kConfig);
}

}  // namespace rum
