// The daemon's start, operation and reloads. Its end is in daemon_end.cc.
#include "daemon/daemon.h"

#include <errno.h>
#include <fmt/ranges.h>
#include <malloc.h>
#include <signal.h>
#include <time.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/log.h"
#include "base/trusted_file.h"
#include "base/units.h"
#include "config.h"
#include "daemon/remote_map_start.h"
#include "daemon/share_start.h"
#include "limits/access_control.h"
#include "limits/resident.h"
#include "map/column.h"
#include "map/map_file.h"
#include "module/module_config.h"
#include "proxy/host_calls.h"
#include "proxy/listener.h"
#include "upstream/resolver.h"
#include "upstream/server_health.h"

namespace rum {
namespace {

constexpr mode_t kControlMode = 0600;
constexpr timeval kTlsLook = {2, 0};
constexpr timeval kFirstProbes = {1, 0};  // longest wait before clients are accepted
constexpr timeval kAtOnce = {0, 0};
constexpr timeval kMemoryLook = {0, 500000};
constexpr uint64_t kMapLines = 1000;  // ms: how often changes of the map are logged at most
constexpr Millis kServiceTick(5000);  // the longest interval of systemd's status line

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

bool IsLocal(const Address& address) {
  return address.kind == Address::Kind::kUnix || address.host == "localhost" ||
         address.host == "::1" || address.host.starts_with("127.");
}

// nullopt: none is required.
Result<std::optional<StatisticsToken>> ReadToken(const Settings& settings) {
  if (settings.stats_token_file.empty()) return std::optional<StatisticsToken>();
  auto token = StatisticsToken::Read(settings.stats_token_file);
  if (!token) return token.error();
  if (settings.stats && !settings.stats->tls && !IsLocal(*settings.stats)) {
    log::Warning(
        "--stats-token-file: the token crosses the network in clear text; use --stats "
        "tls:HOST:PORT, or an address of this machine only");
  }
  return std::optional(*token);
}

std::string DateOf(int64_t seconds) {
  const time_t time = seconds;
  tm t;
  char text[32] = "";
  return ::gmtime_r(&time, &t) && ::strftime(text, sizeof text, "%F", &t) ? text : "?";
}

sigset_t HeldSignals() {
  sigset_t set;
  sigemptyset(&set);
  for (int number : {SIGHUP, SIGUSR1, SIGUSR2}) sigaddset(&set, number);
  return set;
}

}  // namespace

void HoldSignals() {
  sigset_t held = HeldSignals();
  ::pthread_sigmask(SIG_BLOCK, &held, nullptr);
}

std::vector<std::string> Complaints(const MapFile& map, bool has_countries) {
  std::vector<std::string> all;
  const MapRulesCount& rules = map.rules();
  if (rules.refused) {
    all.push_back(
        fmt::format("{} users cannot log in because the rules of their records cannot be read "
                    "(rum-map check lists them): {}",
                    rules.refused, rules.first_refused));
  }
  if (rules.needing_countries && !has_countries) {
    all.push_back(
        fmt::format("{} users cannot log in because their rules name countries and --geo-db is not "
                    "given",
                    rules.needing_countries));
  }
  if (const uint64_t ignored = rules.with_countries - rules.needing_countries;
      ignored && !has_countries) {
    all.push_back(
        fmt::format("{} users have country rules, which are not enforced because --geo-db is not "
                    "given",
                    ignored));
  }
  if (map.alike() >= kManyAlike) {
    all.push_back(
        fmt::format("{} names have the same hash, such as {}: each lookup of one compares all of "
                    "them; somebody may have chosen them to slow rum down",
                    map.alike(), QuoteBytes(map.alike_user())));
  }
  return all;
}

Daemon::Daemon(Origin origin, CommandLine line, Background& background, Service& service)
    : origin_(std::move(origin)),
      configured_(std::move(line.settings)),
      settings_(configured_),
      module_(std::move(line.module)),
      background_(background),
      service_(service),
      base_(event_base_new()),
      shared_(origin_.takes_over) {}

Daemon::~Daemon() {
  // Destroy events first: their callbacks use the objects below.
  for (event* e : events_) event_free(e);
  successor_.reset();
  if (shared_) HandOverAdmin();
  generations_.reset();
  if (proxy_) {
    if (shared_) proxy_->Drain(true);
    proxy_->Join();
  }
  control_.reset();
  statistics_.reset();
  watcher_.reset();
  geo_.reset();
  prober_.reset();
  explainer_.reset();
  proxy_.reset();
  state_.reset();
  if (base_) event_base_free(base_);
}

// Prevents root from using a certificate from an untrusted folder and from exposing what it finds
// there. The default folder may belong to a package's user; root then runs without it if it is not
// needed.
Status Daemon::JudgeStateDirectory(uid_t owner) const {
  const TlsSettings& tls = settings_->tls;
  if (::geteuid() != 0 || TrustedFolder(tls.state_dir, owner)) return Ok();
  const std::string what =
      "--state-dir: '" + tls.state_dir + "' belongs to another user, or others may write to it";
  const bool own_certificate = (tls.clients != TlsMode::kOff || tls.first || tls.statistics) &&
                               tls.files.certificate.empty();
  auto given = settings_->given.find("state-dir");
  const bool asked_for = given != settings_->given.end() && !given->second.empty();
  if (origin_.identity || own_certificate || asked_for) {
    return Error{Fault::kConfig, what + " (chown, chmod go-w)"};
  }
  log::Warning("{}: rum keeps nothing there", what);
  return Ok();
}

Status Daemon::Start() {
  if (!base_) {
    return Error{Fault::kSystem, std::string("cannot create the main loop: ") +
                                     std::strerror(errno) + " (ulimit -n, --nofile)"};
  }
  const uid_t owner = origin_.identity ? origin_.identity->uid : ::geteuid();
  if (auto judged = JudgeStateDirectory(owner); !judged) return judged;
  state_ =
      std::make_unique<StateStore>(base_, settings_->tls.state_dir, settings_->listeners, owner);
  if (!state_->works())
    return Error{Fault::kSystem, "out of descriptors or memory for the main loop"};
  auto config = ModuleConfig::Make(module_, settings_->module_values);
  if (!config) return config.error();
  proxy_ = std::make_unique<Proxy>(base_, settings_, *config);
  proxy_->StartIdsAbove(origin_.ids_above);
  if (!origin_.generations.empty()) {
    generations_ = std::make_unique<Generations>(base_, std::move(origin_.generations));
  }
  prober_ = std::make_unique<Prober>(base_, *proxy_, settings_->health_check);
  explainer_ = std::make_unique<Explainer>(*proxy_);
  auto tls = TlsContexts::Make(settings_->tls);
  if (!tls) return tls.error();
  UseTls(std::move(*tls));
  tls_stamp_ = TlsFilesStamp::Of(settings_->tls);
  if (settings_->map_sources.empty() && settings_->destinations.empty()) {
    log::Warning(
        "neither --map nor --destination is given: all clients are refused, unless {} knows "
        "servers of its own",
        settings_->protocol);
  }
  if (auto bound = proxy_->Bind(&origin_.sockets); !bound) return bound;
  auto geo = WatchGeo(*settings_);
  if (!geo) return geo.error();
  UseGeo(std::move(*geo));
  if (auto watched = WatchMap(); !watched) return watched;
  auto remote = MakeRemoteMap(*settings_, proxy_->resolver());
  if (!remote) return remote.error();
  proxy_->SetRemoteMap(std::move(*remote));
  auto share = MakeShare(*settings_, *proxy_);
  if (!share) return share.error();
  proxy_->SetShare(std::move(*share));
  if (auto opened = OpenAdmin(); !opened) return opened;
  if (!origin_.takes_over) {  // otherwise the old process owns it until this one serves
    auto pidfile = Pidfile::Write(settings_->pidfile);
    if (!pidfile) return pidfile.error();
    pidfile_ = std::move(*pidfile);
  }
  Every(kTlsLook, OnTlsLook);
  Every(kMemoryLook, OnMemoryLook);
  // Opened even if unused: a reload may set --max-memory when no descriptor is left or after
  // --chroot.
  if (!ResidentBytes() && settings_->access_control.max_memory) {
    return Error{Fault::kConfig, "--max-memory: /proc/self/statm cannot be read; mount /proc"};
  }
  WatchSignals();
  for (const auto& [server, state] : origin_.admin_states) {
    proxy_->server_health().Set(server, state);
  }
  if (auto dropped = DropPrivileges(); !dropped) return dropped;
  if (auto started = StartRemoteMap(); !started) return started;
  if (proxy_->share()) {
    if (auto started = proxy_->share()->Start(); !started) return started;
  }
  return proxy_->Start();
}

// Gives the new user what may later be opened or removed by name: by a reload, by the next process,
// or at the end.
Status Daemon::DropPrivileges() {
  if (!origin_.identity) return Ok();
  const Identity& identity = *origin_.identity;
  std::vector<std::string> paths = {settings_->pidfile, settings_->log.target};
  if (!settings_->pidfile.empty()) paths.push_back(Pidfile::LockOf(settings_->pidfile));
  for (const auto& listener : proxy_->listeners()) {
    if (listener->owns_file()) paths.push_back(listener->address().host);
  }
  for (const auto& address : {settings_->stats, settings_->control}) {
    if (address && address->kind == Address::Kind::kUnix) paths.push_back(address->host);
  }
  for (const std::string& path : paths) {
    if (!path.empty() && path != "stderr" && path != "syslog") GiveTo(identity, path);
  }
  GiveFolderTo(identity, settings_->tls.state_dir);
  return Become(identity);
}

Status Daemon::WatchMap() {
  if (settings_->map.empty()) return Ok();
  watcher_ = std::make_unique<MapWatcher>(
      base_, settings_->map, [this](std::shared_ptr<const MapFile> map) { UseMap(std::move(map)); },
      [](const Error& error) { log::Error("{}", error.text); });
  if (auto started = watcher_->Start(); !started) return started;
  // Without its map a process cannot serve; the process that it takes over from still can.
  if (origin_.has_map && watcher_->stats().loads == 0) {
    return Error{Fault::kMap, watcher_->stats().last_error};
  }
  return Ok();
}

void Daemon::UseMap(std::shared_ptr<const MapFile> map) {
  const auto before = proxy_->map();
  const bool loaded = !before || before->cdb() != map->cdb();
  if (loaded) {
    log::Info("{}: the map is loaded, {} records", settings_->map, map->records());
    for (const std::string& text : Complaints(*map, geo_ != nullptr)) {
      log::Warning("{}: {}", settings_->map, text);
    }
  }
  if (map->changes() && NowMillis() >= next_map_line_) {
    next_map_line_ = NowMillis() + kMapLines;
    log::Info("{}: its journal has changes of {} users, the last is number {}", settings_->map,
              map->changes(), map->sequence());
  }
  if (const std::string& fault = map->journal_warning();
      !fault.empty() && (loaded || fault != before->journal_warning())) {
    log::Warning("{}", fault);
  }
  proxy_->SetMap(std::move(map));
  SetDestinations();
}

Status Daemon::StartRemoteMap() {
  RemoteMap* remote = proxy_->remote_map();
  if (!remote) return Ok();
  return remote->Start([this](std::vector<std::string> servers) {
    proxy_->main_queue().Post([this, servers = std::move(servers)]() mutable {
      remote_destinations_ = std::move(servers);
      SetDestinations();
    });
  });
}

// The servers that the file names, and those of the records that other sources have answered.
void Daemon::SetDestinations() {
  map_destinations_ = watcher_ ? watcher_->destinations() : std::vector<std::string>();
  map_destinations_.insert(map_destinations_.end(), remote_destinations_.begin(),
                           remote_destinations_.end());
  prober_->SetMapDestinations(map_destinations_);
}

Result<std::unique_ptr<GeoWatcher>> Daemon::WatchGeo(const Settings& settings) {
  const std::string& path = settings.geo_db;
  if (path.empty()) return std::unique_ptr<GeoWatcher>();
  auto geo = std::make_unique<GeoWatcher>(
      base_, path, [this] { SetGeo(); }, [](const Error& error) { log::Error("{}", error.text); });
  if (auto started = geo->Start(); !started) return started.error();
  return geo;
}

void Daemon::UseGeo(std::unique_ptr<GeoWatcher> geo) {
  geo_ = std::move(geo);
  geo_ ? SetGeo() : proxy_->SetGeo(nullptr);
}

void Daemon::SetGeo() {
  const GeoDatabase& geo = *geo_->current();
  log::Info("{}: the country database is loaded, {} ranges, made {}", settings_->geo_db,
            geo.ranges(), DateOf(geo.built_at()));
  proxy_->SetGeo(geo_->current());
}

Status Daemon::OpenAdmin() {
  auto open = [this](const std::optional<Address>& address, mode_t mode,
                     std::optional<Actions> actions,
                     std::unique_ptr<StatisticsServer>& target) -> Status {
    if (!address) return Ok();
    auto server = StatisticsServer::Open(
        base_, *address, mode, [this] { return overview(); }, std::move(actions), &origin_.sockets);
    if (!server) return server.error();
    target = std::move(*server);
    return Ok();
  };
  Actions actions{
      .reload = [this](Actions::Answer answer) { ReloadAll(std::move(answer)); },
      .upgrade = [this](Actions::Answer answer) { HandOver(std::move(answer)); },
      .stop = [this] { OnTerm(); },
      .look_at_map =
          [this](std::function<void()> done) {
            watcher_ ? watcher_->check_now(std::move(done)) : done();
          },
      .set_log_level = [this](log::Level level) { return SetLogLevel(level); },
      .set_limit = [this](const std::string& option,
                          const std::string& value) { return SetLimit(option, value); }};
  auto token = ReadToken(*settings_);
  if (!token) return token.error();
  auto opened = open(settings_->stats, settings_->socket_mode, {}, statistics_);
  if (opened && statistics_) {
    statistics_->SetToken(std::move(*token));
    statistics_->SetTls(tls_->statistics);
  }
  return opened ? open(settings_->control, kControlMode, std::move(actions), control_) : opened;
}

void Daemon::WatchSignals() {
  for (int number : {SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2}) {
    events_.push_back(evsignal_new(base_, number, OnSignal, this));
    event_add(events_.back(), nullptr);
  }
  // libevent calls OnSignal() once for each signal. A timer runs once for all that have arrived,
  // and other events have their turn between two reloads.
  auto reload = [](evutil_socket_t, short, void* self) { static_cast<Daemon*>(self)->ReloadAll(); };
  events_.push_back(reload_ = evtimer_new(base_, reload, this));
}

event* Daemon::Every(timeval interval, event_callback_fn callback) {
  events_.push_back(event_new(base_, -1, EV_PERSIST, callback, this));
  event_add(events_.back(), &interval);
  return events_.back();
}

// Starts serving clients after the first round of health checks, or after a second.
Status Daemon::Run() {
  events_.push_back(first_probes_ = evtimer_new(base_, OnFirstProbesOver, this));
  event_add(first_probes_, &kFirstProbes);
  prober_->Start([this] { OnFirstProbesOver(-1, 0, this); });
  if (result_) event_base_dispatch(base_);
  return result_;
}

void Daemon::OnFirstProbesOver(evutil_socket_t, short, void* self) {
  auto& daemon = *static_cast<Daemon*>(self);
  event_del(daemon.first_probes_);
  if (!std::exchange(daemon.serving_, true) && !daemon.draining_) daemon.Serve();
}

void Daemon::Serve() {
  if (origin_.takes_over) {
    auto pidfile = Pidfile::Write(settings_->pidfile, std::move(origin_.pidfile));
    if (!pidfile) {
      result_ = pidfile.error();
      return Stop();
    }
    pidfile_ = std::move(*pidfile);
  }
  proxy_->Serve();
  shared_ = false;
  for (const std::string& address : origin_.sockets.CloseRest()) {
    log::Warning("{}: bound {}, but no option names it: it is closed", address,
                 origin_.takes_over ? "until now" : "by systemd");
  }
  std::string where;
  for (const Address& address : settings_->listeners) where += " " + address.text();
  log::Info("rum {} serves{} with {} ({} workers){}", PACKAGE_VERSION, where, module_->table().name,
            settings_->workers, origin_.takes_over ? "; it takes over" : "");
  background_.Ready();
  service_.Ready();
  sigset_t held = HeldSignals();
  ::pthread_sigmask(SIG_UNBLOCK, &held, nullptr);
  if (!service_.on()) return;
  Millis alive = service_.alive_interval();
  Every(TimevalOf(alive.count() ? std::min(alive, kServiceTick) : kServiceTick), OnServiceTick);
  OnServiceTick(-1, 0, this);
}

void Daemon::OnServiceTick(evutil_socket_t, short, void* self) {
  auto& daemon = *static_cast<Daemon*>(self);
  daemon.service_.Tick(fmt::format("{} {} sessions", daemon.draining_ ? "Ending;" : "Serving",
                                   daemon.proxy_->Load()));
}

void Daemon::UseTls(std::shared_ptr<const TlsContexts> tls) {
  tls_ = tls;
  if (statistics_) statistics_->SetTls(tls->statistics);
  proxy_->SetTls(std::move(tls));
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

void Daemon::OnMemoryLook(evutil_socket_t, short, void* self) {
  auto& daemon = *static_cast<Daemon*>(self);
  uint64_t most = daemon.settings_->access_control.max_memory;
  if (!most) return;
  std::optional<uint64_t> resident = ResidentBytes();
  if (resident && *resident > most) {  // freed memory may not have been returned to the system
    ::malloc_trim(0);
    resident = ResidentBytes();
  }
  if (!resident) return;  // keep the previous value
  const uint64_t bytes = *resident;
  bool full = bytes > most;
  if (full) daemon.proxy_->DropKept();
  if (full != std::exchange(daemon.memory_full_, full)) {
    const std::string size = ShowSize(static_cast<double>(bytes));
    full ? log::Warning("--max-memory is reached, the process has {}: clients are refused", size)
         : log::Info("the process has {}: clients are accepted again", size);
  }
  daemon.proxy_->access_control().set_memory(bytes);
}

void Daemon::ReloadAll(Actions::Answer answer) {
  if (!draining_) service_.Reloading();
  proxy_->resolver().Reread();
  auto read = Reload();
  std::string wrong = read ? "" : read.error().text;
  if (read && !tls_status_) wrong = tls_status_.error().text;
  std::string done = "read again";
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
    return Reloaded{.kept = plan.kept, .taken_back = {}};
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
  return Reloaded{.kept = plan.kept, .taken_back = taken_back};
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

void Daemon::OnSignal(evutil_socket_t number, short, void* self) {
  auto& daemon = *static_cast<Daemon*>(self);
  switch (number) {
    case SIGHUP:
      event_add(daemon.reload_, &kAtOnce);
      break;
    case SIGUSR1:
      log::Reopen();
      break;
    case SIGUSR2:
      daemon.HandOver();
      break;
    case SIGQUIT:
      daemon.Stop();
      break;
    default:
      daemon.OnTerm();
  }
}

}  // namespace rum
