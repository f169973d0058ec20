// What a daemon applies while it serves: its configuration, certificates, and commands of
// operators.
#include <fmt/ranges.h>

#include <utility>

#include "base/log.h"
#include "daemon/daemon.h"
#include "lookup/remote_map.h"
#include "module/module_config.h"
#include "proxy/host_calls.h"
#include "upstream/resolver.h"

namespace rum {
namespace {

std::string Names(const std::vector<std::string>& names) {
  return names.empty() ? "nothing" : fmt::format("{}", fmt::join(names, ", "));
}

Error RefuseReload(const Error& error) {
  std::string text = error.text;
  for (size_t at; (at = text.find('\n')) != text.npos;) text.replace(at, 1, "; ");
  log::WriteAnswer(log::Level::kError,
                   "the configuration is not applied, nothing has changed: " + text);
  return error;
}

void LogKept(const std::vector<std::string>& kept) {
  if (kept.empty()) return;
  log::Warning("these options have changed, too, and need a new process: {}; USR2 starts one",
               Names(kept));
}

}  // namespace

void Daemon::ReloadAll(Actions::Answer answer) {
  if (!draining_) service_.Reloading();
  proxy_->resolver().Reread();
  if (RemoteMap* remote = proxy_->remote_map()) remote->SuspectAll();
  auto read = Reload();
  std::string wrong = read ? "" : read.error().text;
  if (read && !tls_status_) wrong = tls_status_.error().text;
  std::string done = "read again";
  if (read && !read->applied.empty()) done += "; applied: " + Names(read->applied);
  if (read && read->applied.empty() && read->kept.empty()) done += "; no option has changed";
  if (read && !read->taken_back.empty()) {
    done += "; the files replace what was set by rumctl: " + Names(read->taken_back);
  }
  if (read && !read->kept.empty()) {
    done += "; these options have changed and need a new process (upgrade): " + Names(read->kept);
  }
  log::Reopen();
  if (!draining_) service_.Ready();
  auto tell = [this, wrong, done, answer = std::move(answer)] {
    if (!answer) return;
    std::string all = wrong;
    if (watcher_ && !watcher_->stats().last_error.empty()) {
      all += (all.empty() ? "" : "\n") + watcher_->stats().last_error;
    }
    if (geo_ && !geo_->stats().last_error.empty()) {
      all += (all.empty() ? "" : "\n") + geo_->stats().last_error;
    }
    answer(all.empty() ? Ok() : Status(Error{Fault::kConfig, all}), done);
  };
  auto look_at_geo = [this, tell = std::move(tell)] { geo_ ? geo_->check_now(tell) : tell(); };
  watcher_ ? watcher_->check_now(look_at_geo) : look_at_geo();
}

// Reads the configuration again and applies it. If it contains an error, nothing changes.
Result<Daemon::Reloaded> Daemon::Reload() {
  auto line = ReadCommandLine(origin_.argc, origin_.argv, kHost, module_);
  if (!line) return RefuseReload(line.error());
  rum::Reload plan = PlanReload(*configured_, *line->settings);
  auto token = ReadToken(*plan.settings);
  if (!token) return RefuseReload(token.error());
  if (plan.applied.empty()) {
    if (statistics_) statistics_->SetToken(std::move(*token));
    LookAtTls(true);
    LogKept(plan.kept);
    return Reloaded{.applied = {}, .kept = plan.kept, .taken_back = {}};
  }
  auto config = ModuleConfig::Make(module_, plan.settings->module_values);
  if (!config) return RefuseReload(config.error());
  auto tls = TlsContexts::Make(plan.settings->tls);
  if (!tls) return RefuseReload(tls.error());
  ByHand by_hand = by_hand_;
  const std::vector<std::string> taken_back = by_hand.Forget(plan.applied);
  auto settings = by_hand.Over(plan.settings);
  std::unique_ptr<GeoWatcher> next_geo;
  const bool new_geo = settings->geo_db != settings_->geo_db;
  if (new_geo) {
    auto geo = WatchGeo(*settings);
    if (!geo) return RefuseReload(geo.error());
    next_geo = std::move(*geo);
  }
  if (auto changed = log::Change(settings->log); !changed) return RefuseReload(changed.error());
  if (statistics_) statistics_->SetToken(std::move(*token));
  configured_ = plan.settings;
  by_hand_ = std::move(by_hand);
  settings_ = std::move(settings);
  if (new_geo) UseGeo(std::move(next_geo));
  UseTls(std::move(*tls));
  tls_stamp_ = TlsFilesStamp::Of(settings_->tls);
  tls_status_ = Ok();
  proxy_->Reload(settings_, std::move(*config));
  prober_->Follow();
  log::Info("the configuration is reloaded; applied: {}", Names(plan.applied));
  if (!taken_back.empty()) {
    log::Info("the files replace what was set by rumctl: {}", Names(taken_back));
  }
  LogKept(plan.kept);
  return Reloaded{.applied = plan.applied, .kept = plan.kept, .taken_back = taken_back};
}

Status Daemon::SetLogLevel(log::Level level) {
  auto settings = std::make_shared<Settings>(*settings_);
  settings->log.level = level;
  if (auto changed = log::Change(settings->log); !changed) return changed;
  by_hand_.level = level;
  settings_ = std::move(settings);
  return Ok();
}

Status Daemon::SetLimit(const std::string& option, const std::string& value) {
  auto settings = WithLimit(*settings_, option, value);
  if (!settings) return settings.error();
  by_hand_.limits[option] = value;
  settings_ = std::move(*settings);
  proxy_->Reload(settings_, proxy_->module_config());
  log::Info("by an operator: {} is {}", option, value);
  return Ok();
}

// Certificates are renewed in place: new connections use the new files.
void Daemon::OnTlsLook(evutil_socket_t, short, void* self) {
  static_cast<Daemon*>(self)->LookAtTls(false);
}

// `again`: retry files that failed to load.
void Daemon::LookAtTls(bool again) {
  auto stamp = TlsFilesStamp::Of(settings_->tls);
  if (stamp == tls_stamp_ && (tls_status_ || !again)) return;
  tls_stamp_ = stamp;
  auto tls = TlsContexts::Make(settings_->tls);
  tls_status_ = tls ? Ok()
                    : Status(Error{tls.error().fault,
                                   tls.error().text + "; rum keeps the certificates in use"});
  if (!tls) return log::Error("{}", tls_status_.error().text);
  log::Info("TLS: the certificates were reloaded");
  UseTls(std::move(*tls));
}

}  // namespace rum
