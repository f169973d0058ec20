// Options, module, workers; then wait for signals; then stop. The only place that ends the process.
#include <event2/event.h>
#include <event2/thread.h>
#include <fmt/ranges.h>
#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <memory>
#include <utility>

#include "admin/http.h"
#include "base/log.h"
#include "config.h"
#include "daemon/background.h"
#include "explain.h"
#include "limits/descriptors.h"
#include "map/map_file.h"
#include "map/map_watcher.h"
#include "module/module_config.h"
#include "module/state_store.h"
#include "options.h"
#include "proxy/proxy.h"
#include "tls/tls_contexts.h"
#include "upstream/prober.h"

#ifdef HAVE_LIBSYSTEMD
#include <systemd/sd-daemon.h>
#endif

namespace rum {
namespace {

constexpr timeval kTlsLook = {2, 0};
constexpr timeval kIdleLook = {0, 20000};  // how often the end of a drain is looked for
constexpr timeval kFirstProbes = {1, 0};   // clients wait no longer for the servers' answers
constexpr mode_t kControlMode = 0600;
constexpr timeval kAfterCut = {3, 0};  // longer than last words may take

void TellSystemd(const char* state) {
#ifdef HAVE_LIBSYSTEMD
  sd_notify(0, state);
#else
  (void)state;
#endif
}

std::string Lines(const std::string& text) {
  std::string out;
  for (size_t begin = 0; begin <= text.size();) {
    size_t end = text.find('\n', begin);
    out += "rum: " + text.substr(begin, end - begin) + "\n";
    if (end == text.npos) break;
    begin = end + 1;
  }
  return out;
}

// What an operator must know of the rules in a map that is otherwise good.
std::vector<std::string> Complaints(const MapFile& map) {
  std::vector<std::string> all;
  const MapRulesCount& rules = map.rules();
  if (rules.refused) {
    all.push_back(
        fmt::format("{} of the users cannot log in, for the rules of their records cannot "
                    "be read (rum-map check names them): {}",
                    rules.refused, rules.first_refused));
  }
  if (rules.with_countries) {
    all.push_back(fmt::format("{} of the users have rules about countries, which are not obeyed",
                              rules.with_countries));
  }
  return all;
}

// The running process: everything that lives on the main loop.
class Daemon {
 public:
  Daemon(int argc, char** argv, CommandLine line, Background& background)
      : argc_(argc),
        argv_(argv),
        settings_(std::move(line.settings)),
        module_(std::move(line.module)),
        background_(background),
        base_(event_base_new()) {}
  ~Daemon() {
    // First what could call back into what goes next.
    for (event* e : signals_) event_free(e);
    for (event* e : {first_probes_, idle_look_, drain_over_, tls_look_}) {
      if (e) event_free(e);
    }
    control_.reset();
    statistics_.reset();
    watcher_.reset();
    proxy_.reset();
    state_.reset();
    event_base_free(base_);
  }

  Status Start() {
    state_ = std::make_unique<StateStore>(base_, settings_->tls.state_dir, settings_->listeners);
    auto config = ModuleConfig::Make(module_, settings_->module_values);
    if (!config) return config.error();
    proxy_ = std::make_unique<Proxy>(base_, settings_, *config);
    auto tls = TlsContexts::Make(settings_->tls);
    if (!tls) return tls.error();
    proxy_->SetTls(std::move(*tls));
    tls_stamp_ = TlsFilesStamp::Of(settings_->tls);
    if (auto bound = proxy_->Bind(); !bound) return bound;
    if (!settings_->map.empty()) {
      watcher_ = std::make_unique<MapWatcher>(
          base_, settings_->map,
          [this](std::shared_ptr<const MapFile> map) {
            log::Info("{}: the map is loaded, {} records", settings_->map, map->records());
            for (const std::string& text : Complaints(*map)) {
              log::Warning("{}: {}", settings_->map, text);
            }
            proxy_->SetMap(std::move(map));
            proxy_->prober().SetMapDestinations(watcher_->destinations());
          },
          [](const Error& error) { log::Error("{}", error.text); });
      if (auto started = watcher_->Start(); !started) return started;
    }
    if (settings_->stats) {
      auto server = StatisticsServer::Open(base_, *settings_->stats, settings_->socket_mode,
                                           [this] { return overview(); });
      if (!server) return server.error();
      statistics_ = std::move(*server);
    }
    if (settings_->control) {
      auto server = StatisticsServer::Open(
          base_, *settings_->control, kControlMode, [this] { return overview(); },
          Actions{.reload = [this] { return ReloadAll(); },
                  .drain = [this] { draining_ ? Stop() : Drain(); },
                  .set_log_level =
                      [this](log::Level level) {
                        auto options = settings_->log;
                        options.level = level;
                        return log::Change(options);
                      }});
      if (!server) return server.error();
      control_ = std::move(*server);
    }
    tls_look_ = event_new(base_, -1, EV_PERSIST, OnTlsLook, this);
    event_add(tls_look_, &kTlsLook);
    auto pidfile = Pidfile::Write(settings_->pidfile);
    if (!pidfile) return pidfile.error();
    pidfile_ = std::move(*pidfile);
    for (int number : {SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1}) {
      signals_.push_back(evsignal_new(base_, number, OnSignal, this));
      event_add(signals_.back(), nullptr);
    }
    return proxy_->Start();
  }

  // Clients are served when the servers have been asked once, or a second has passed.
  void Run() {
    first_probes_ = evtimer_new(base_, OnFirstProbesOver, this);
    event_add(first_probes_, &kFirstProbes);
    proxy_->prober().Start([this] { OnFirstProbesOver(-1, 0, this); });
    event_base_dispatch(base_);
    proxy_->Join();
    log::Info("rum ends");
  }

 private:
  static void OnFirstProbesOver(evutil_socket_t, short, void* self) {
    auto& daemon = *static_cast<Daemon*>(self);
    event_del(daemon.first_probes_);
    if (!std::exchange(daemon.serving_, true) && !daemon.draining_) daemon.Serve();
  }

  void Serve() {
    proxy_->Serve();
    std::string where;
    for (const Address& address : settings_->listeners) where += " " + address.text();
    log::Info("rum {} serves{} with {} ({} workers)", PACKAGE_VERSION, where, module_->table().name,
              settings_->workers);
    background_.Ready();
    TellSystemd("READY=1");
  }

  Overview overview() const { return {*proxy_, watcher_.get(), started_, draining_}; }

  // Certificates are renewed in their place: the new files serve the next client.
  static void OnTlsLook(evutil_socket_t, short, void* self) {
    auto& daemon = *static_cast<Daemon*>(self);
    auto stamp = TlsFilesStamp::Of(daemon.settings_->tls);
    if (stamp == daemon.tls_stamp_) return;
    daemon.tls_stamp_ = stamp;
    auto tls = TlsContexts::Make(daemon.settings_->tls);
    if (!tls) return log::Error("{}; the certificates in use stay", tls.error().text);
    log::Info("TLS: the certificates are loaded anew");
    daemon.proxy_->SetTls(std::move(*tls));
  }

  Status ReloadAll() {
    auto read = Reload();
    if (watcher_) watcher_->check_now();
    return read;
  }

  // Reads the configuration again. With one mistake in it nothing changes.
  Status Reload() {
    auto line = ReadCommandLine(argc_, argv_, module_);
    if (!line) return RefuseReload(line.error());
    rum::Reload plan = PlanReload(*settings_, *line->settings);
    if (plan.applied.empty() && plan.kept.empty()) return Ok();
    auto config = ModuleConfig::Make(module_, plan.settings->module_values);
    if (!config) return RefuseReload(config.error());
    auto tls = TlsContexts::Make(plan.settings->tls);
    if (!tls) return RefuseReload(tls.error());
    if (auto changed = log::Change(plan.settings->log); !changed) {
      return RefuseReload(changed.error());
    }
    settings_ = plan.settings;
    proxy_->SetTls(std::move(*tls));
    tls_stamp_ = TlsFilesStamp::Of(settings_->tls);
    proxy_->Reload(settings_, std::move(*config));
    log::Info("the configuration is read again; applied: {}", Names(plan.applied));
    if (!plan.kept.empty()) {
      log::Warning("these have changed too and need a new process: {}", Names(plan.kept));
    }
    return Ok();
  }

  static Status RefuseReload(const Error& error) {
    std::string text = error.text;
    for (size_t at; (at = text.find('\n')) != text.npos;) text.replace(at, 1, "; ");
    log::Error("the configuration is not applied, nothing has changed: {}", text);
    return error;
  }

  static std::string Names(const std::vector<std::string>& names) {
    return names.empty() ? "nothing" : fmt::format("{}", fmt::join(names, ", "));
  }

  static void OnSignal(evutil_socket_t number, short, void* self) {
    auto& daemon = *static_cast<Daemon*>(self);
    switch (number) {
      case SIGHUP:
        (void)daemon.ReloadAll();
        [[fallthrough]];
      case SIGUSR1:
        log::Reopen();
        break;
      case SIGQUIT:
        daemon.Stop();
        break;
      default:
        daemon.draining_ ? daemon.Stop() : daemon.Drain();
    }
  }

  void Drain() {
    draining_ = true;
    TellSystemd("STOPPING=1");
    log::Info("draining: no new clients; sessions have {} to end; a second signal ends at once",
              FormatDuration(settings_->drain_timeout));
    proxy_->Drain();
    idle_look_ = event_new(base_, -1, EV_PERSIST, OnIdleLook, this);
    event_add(idle_look_, &kIdleLook);
    drain_over_ = evtimer_new(base_, OnDrainOver, this);
    auto millis = settings_->drain_timeout.count();
    timeval wait = {millis / 1000, millis % 1000 * 1000};
    if (millis) event_add(drain_over_, &wait);
  }

  static void OnIdleLook(evutil_socket_t, short, void* self) {
    auto& daemon = *static_cast<Daemon*>(self);
    if (daemon.proxy_->Idle()) event_base_loopbreak(daemon.base_);
  }

  static void OnDrainOver(evutil_socket_t, short, void* self) {
    auto& daemon = *static_cast<Daemon*>(self);
    if (daemon.cut_) return daemon.Stop();
    daemon.cut_ = true;
    log::Warning("draining: the time is over, ending the sessions that are left");
    daemon.proxy_->EndSessions(RUM_CLOSE_DRAIN);
    event_add(daemon.drain_over_, &kAfterCut);
  }

  void Stop() {
    draining_ = true;
    proxy_->Drain();
    proxy_->Stop();
    event_base_loopbreak(base_);
  }

  const int argc_;
  char** const argv_;
  std::shared_ptr<const Settings> settings_;
  std::shared_ptr<const Module> module_;
  Background& background_;
  event_base* base_;
  std::unique_ptr<StateStore> state_;
  std::unique_ptr<Proxy> proxy_;
  std::unique_ptr<MapWatcher> watcher_;
  std::unique_ptr<StatisticsServer> statistics_;
  std::unique_ptr<StatisticsServer> control_;
  Pidfile pidfile_;
  std::vector<event*> signals_;
  TlsFilesStamp tls_stamp_;
  event* tls_look_ = nullptr;
  event* first_probes_ = nullptr;
  event* idle_look_ = nullptr;
  event* drain_over_ = nullptr;
  uint64_t started_ = NowMillis();
  bool serving_ = false;
  bool draining_ = false;
  bool cut_ = false;  // --drain-timeout is over
};

// --check: what a start would find, without binding or serving anything.
int Check(const CommandLine& line) {
  std::string mistakes;
  auto config = ModuleConfig::Make(line.module, line.settings->module_values);
  if (!config) mistakes += Lines(config.error().text);
  if (auto tls = TlsContexts::Make(line.settings->tls); !tls) mistakes += Lines(tls.error().text);
  if (!line.settings->map.empty()) {
    auto map = MapFile::Load(line.settings->map);
    if (!map) mistakes += Lines(map.error().text);
    if (map && (*map)->rules().refused) {
      mistakes += Lines(line.settings->map + ": " + Complaints(**map).front());
    }
  }
  std::fputs(mistakes.empty() ? "rum: the configuration is good\n" : mistakes.c_str(),
             mistakes.empty() ? stdout : stderr);
  return mistakes.empty() ? 0 : static_cast<int>(Fault::kConfig);
}

int Main(int argc, char** argv) {
  ::signal(SIGPIPE, SIG_IGN);
  auto line = ReadCommandLine(argc, argv);
  if (!line) {
    std::fputs(Lines(line.error().text).c_str(), stderr);
    return static_cast<int>(line.error().fault);
  }
  if (!line->text.empty()) {
    std::fputs(line->text.c_str(), stdout);
    return 0;
  }
  if (line->settings->check) return Check(*line);
  if (!line->settings->explain.empty()) return Explain(*line);

  Background background;
  auto fail = [&](const Error& error) {
    std::string text = Lines(error.text);
    int code = static_cast<int>(error.fault);
    background.entered() ? background.Failed(code, text) : (void)std::fputs(text.c_str(), stderr);
    return code;
  };
  if (line->settings->background) {
    if (auto entered = background.Enter(); !entered) return fail(entered.error());
  }
  if (auto set = SetDescriptorLimit(line->settings->nofile); !set) return fail(set.error());
  evthread_use_pthreads();
  if (auto opened = log::Open(line->settings->log); !opened) return fail(opened.error());
  int code = 0;
  {
    Daemon daemon(argc, argv, std::move(*line), background);
    if (auto started = daemon.Start(); started) {
      daemon.Run();
    } else {
      code = fail(started.error());
    }
  }
  if (!log::Close()) ::_exit(code);
  libevent_global_shutdown();
  return code;
}

}  // namespace
}  // namespace rum

int main(int argc, char** argv) { return rum::Main(argc, argv); }
