// The daemon's start and operation. Its map is in daemon_map.cc, what it applies anew in
// daemon_reload.cc, and its end in daemon_end.cc.
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
#include "proxy/login_pauses.h"
#include "upstream/resolver.h"
#include "upstream/server_health.h"

namespace rum {
namespace {

constexpr mode_t kControlMode = 0600;
constexpr timeval kTlsLook = {2, 0};
constexpr timeval kFirstProbes = {1, 0};  // longest wait before clients are accepted
constexpr timeval kMapLook = {0, 50000};
constexpr timeval kAtOnce = {0, 0};
constexpr timeval kMemoryLook = {0, 500000};
constexpr Millis kServiceTick(5000);  // the longest interval of systemd's status line

bool IsLocal(const Address& address) {
  return address.kind == Address::Kind::kUnix || address.host == "localhost" ||
         address.host == "::1" || address.host.starts_with("127.");
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
  if (auto share = MakeShare(*settings_, *proxy_); !share) return share;
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
  BeginInheritedPauses();
  if (auto dropped = DropPrivileges(); !dropped) return dropped;
  if (auto started = StartRemoteMap(); !started) return started;
  if (auto started = StartShare(*proxy_); !started) return started;
  return proxy_->Start();
}

// Before a client can log in. Their logins so far wait in the previous process.
void Daemon::BeginInheritedPauses() {
  const uint64_t now = NowMillis();
  for (const auto& [kind, name, until] : origin_.pauses) {
    if (until <= now) continue;
    const Millis left(std::min<uint64_t>(until - now, LoginPauses::kLongest.count()));
    if (!proxy_->pauses().Begin(kind, name, left)) continue;
    log::Info("the pause of {} goes on for {} s", Describe(kind, name), left.count() / 1000);
  }
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

Result<std::optional<StatisticsToken>> Daemon::ReadToken(const Settings& settings) {
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
  if (!daemon.serving_ && !daemon.draining_ && daemon.AwaitsMap()) {
    event_add(daemon.first_probes_, &kMapLook);
    return;
  }
  if (!std::exchange(daemon.serving_, true) && !daemon.draining_) daemon.Serve();
}

void Daemon::Serve() {
  if (origin_.takes_over) {
    if (result_ = HasTheMapOfBefore(); !result_) return Stop();
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
  log::Info("rum {} serves{} with {} ({} worker{}){}", PACKAGE_VERSION, where,
            module_->table().name, settings_->workers, settings_->workers == 1 ? "" : "s",
            origin_.takes_over ? "; it takes over" : "");
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
  daemon.service_.Tick(fmt::format("{} {}", daemon.draining_ ? "Ending;" : "Serving",
                                   Counted(daemon.proxy_->Load(), "session")));
}

void Daemon::UseTls(std::shared_ptr<const TlsContexts> tls) {
  tls_ = tls;
  if (statistics_) statistics_->SetTls(tls->statistics);
  proxy_->SetTls(std::move(tls));
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
