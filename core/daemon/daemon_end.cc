// The end of the daemon: draining after TERM, stopping, or handing over to a new process.
#include <fmt/format.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "admin/map_sources.h"
#include "base/close_reasons.h"
#include "base/log.h"
#include "base/units.h"
#include "daemon/daemon.h"
#include "proxy/hook_watch.h"
#include "proxy/listener.h"
#include "proxy/login_pauses.h"
#include "proxy/shared_table.h"

namespace rum {
namespace {

constexpr timeval kIdleLook = {0, 20000};  // poll interval for the end of a drain
constexpr timeval kLogLook = {5, 0};
constexpr Millis kJoinMost(3000);            // for the workers' current hooks and worker_stop
constexpr Millis kStuckMost(30000);          // longest hook that a drain waits for
constexpr timeval kAfterCut = {3, 0};        // long enough for the modules' last messages
constexpr uint64_t kLastAnswer = 1000;       // ms
constexpr uint64_t kProgress = 10000;        // ms until a drain's first progress line
constexpr uint64_t kProgressMost = 3600000;  // upper bound of the interval, which doubles

}  // namespace

void Daemon::OnTerm() {
  // After a hand-over this process drains already, and the signal may be for all processes of the
  // service: only the second one stops it.
  if (std::exchange(handed_over_, false)) {
    log::Info("draining: {} left, with {} to end; a second signal ends at once",
              Counted(proxy_->Load(), "session"), FormatDuration(settings_->drain_timeout));
    return EndDrainIn(settings_->drain_timeout);
  }
  if (draining_) return Stop();
  draining_ = true;
  GiveUpHandOver();
  service_.Stopping();
  if (settings_->drain_delay.count() == 0 || !serving_) return Drain();
  log::Info(
      "draining in {}: /ready says so, clients are accepted until then; a second signal ends at "
      "once",
      FormatDuration(settings_->drain_delay));
  events_.push_back(evtimer_new(base_, OnDelayOver, this));
  timeval wait = TimevalOf(settings_->drain_delay);
  event_add(events_.back(), &wait);
}

void Daemon::OnDelayOver(evutil_socket_t, short, void* self) {
  static_cast<Daemon*>(self)->Drain();
}

// Stops accepting clients.
void Daemon::Drain() {
  const Millis most = handed_over_ ? settings_->handover_timeout : settings_->drain_timeout;
  log::Info("draining: no new clients; sessions have {}; a second signal ends at once",
            most.count() ? FormatDuration(most) + " to end" : "no time limit");
  prober_->Stop();
  proxy_->Drain(shared_);
  report_at_ = NowMillis() + (report_every_ = kProgress);
  pidfile_.Release(handed_over_);
  Every(kIdleLook, OnIdleLook);
  events_.push_back(drain_over_ = evtimer_new(base_, OnDrainOver, this));
  EndDrainIn(most);
}

void Daemon::EndDrainIn(Millis most) {
  timeval wait = TimevalOf(most);
  if (most.count()) event_add(drain_over_, &wait);
}

void Daemon::OnIdleLook(evutil_socket_t, short, void* self) {
  auto& daemon = *static_cast<Daemon*>(self);
  if (daemon.proxy_->Idle()) {
    if (!daemon.idle_since_) daemon.idle_since_ = NowMillis();
    // The command that has ended the last sessions is answered.
    const bool waits = daemon.control_ && daemon.control_->busy() &&
                       NowMillis() - daemon.idle_since_ < kLastAnswer;
    if (!waits) event_base_loopbreak(daemon.base_);
  } else if (daemon.proxy_->hook_watch().OnlyStuckLeft(kStuckMost)) {
    log::Warning("draining: only workers that are stuck in the module are left");
    daemon.Stop();
  } else if (NowMillis() >= daemon.report_at_) {
    daemon.report_every_ = std::min(2 * daemon.report_every_, kProgressMost);
    daemon.report_at_ = NowMillis() + daemon.report_every_;
    log::Info("draining: {} left", Counted(daemon.proxy_->Load(), "session"));
  }
}

void Daemon::OnDrainOver(evutil_socket_t, short, void* self) {
  auto& daemon = *static_cast<Daemon*>(self);
  if (daemon.drain_expired_) return daemon.Stop();
  daemon.drain_expired_ = true;
  log::Warning("draining: the timeout has expired, ending the remaining sessions");
  daemon.proxy_->EndSessions(RUM_CLOSE_DRAIN);
  event_add(daemon.drain_over_, &kAfterCut);
}

void Daemon::GiveUpHandOver() {
  successor_.reset();
  upgraded_ = {};
  if (control_) control_->CancelHandOver();
}

void Daemon::Stop() {
  draining_ = true;
  GiveUpHandOver();
  prober_->Stop();
  proxy_->Drain(shared_);
  proxy_->Stop();
  event_base_loopbreak(base_);
}

bool Daemon::Join() {
  if (!proxy_) return true;
  if (shared_) proxy_->Drain(true);
  if (proxy_->JoinWithin(kJoinMost)) {
    if (serving_) log::Info("rum ends");
    return true;
  }
  log::Error("{}: the process ends without waiting any longer", proxy_->hook_watch().Describe());
  // Releases what the next process needs, and saves what would be lost.
  if (shared_) HandOverAdmin();
  generations_.reset();
  control_.reset();
  statistics_.reset();
  Pidfile{std::move(pidfile_)};
  state_->WriteAll();
  return false;
}

// Starts the program again and passes the sockets to it. Nothing changes until the new process
// serves; then `answer` is called.
void Daemon::HandOver(Actions::Answer answer) {
  auto refuse = [&answer](const std::string& why) {
    log::Error("no hand-over: {}", why);
    if (answer) answer(Error{Fault::kConfig, why}, "");
  };
  if (successor_) {
    return refuse("process " + std::to_string(successor_->pid()) + " is already taking over");
  }
  if (draining_) return refuse("this process is ending");
  if (!serving_) return refuse("this process is still starting");
  if (!settings_->chroot.empty()) {
    return refuse("the program is outside of --chroot; restart instead");
  }
  if (::getpid() == 1)
    return refuse("process 1 cannot hand over, since its end stops the container; restart instead");
  state_->WriteAll();  // the new process reads it
  HandoverNote note;
  note.has_map =
      watcher_ ? watcher_->stats().loads > 0 : proxy_->remote_map() && WhyNoSource(*proxy_).empty();
  note.pidfile = pidfile_.lock();
  note.shared = SharedTable::Descriptor();
  for (const auto& listener : proxy_->listeners()) note.sockets.push_back(listener->ForHandover());
  for (const auto* server : {statistics_.get(), control_.get()}) {
    if (server) note.sockets.push_back(server->ForHandover());
  }
  for (const auto& one : proxy_->server_health().List(ServerHealth::kMost)) {
    if (one.admin != AdminState::kReady) note.admin_states.push_back({one.server, one.admin});
  }
  for (LoginPauses::Entry& one : proxy_->pauses().List()) {
    note.pauses.push_back({one.kind, std::move(one.name), NowMillis() + one.milliseconds});
  }
  note.generations = NextGenerations();
  note.ids_above = proxy_->IdsAbove();
  auto successor = Successor::Start(base_, origin_.program, std::move(note),
                                    [this](const std::string& failed) { OnSuccessor(failed); });
  if (!successor) {
    if (control_) control_->CancelHandOver();
    return refuse(successor.error().text);
  }
  successor_ = std::move(*successor);
  upgraded_ = std::move(answer);
  log::Info("hand-over: a new process is starting, {}", origin_.program.path);
}

// The older processes that the next one speaks for. This one is among them if it will have a
// control socket of its own.
std::vector<Generation> Daemon::NextGenerations() {
  std::vector<Generation> all;
  if (generations_) all = generations_->processes();
  if (!control_) return all;
  auto path = control_->PrepareHandOver();
  if (!path) {
    log::Warning("hand-over: rumctl will not reach the sessions that stay in this process: {}",
                 path.error().text);
    return all;
  }
  all.push_back({::getpid(), ::time(nullptr), *path});
  if (all.size() > kGenerationsMost) all.erase(all.begin());
  return all;
}

void Daemon::HandOverAdmin() {
  for (auto* server : {statistics_.get(), control_.get()}) {
    if (server && !server->handed_over()) server->HandOver();
  }
}

void Daemon::OnSuccessor(const std::string& failed) {
  auto successor = std::move(successor_);
  auto answer = std::exchange(upgraded_, {});
  if (!failed.empty()) {
    pidfile_.Restore();
    if (control_) control_->CancelHandOver();
    log::Error("the hand-over has failed, this process continues to serve: {}", failed);
    if (answer) answer(Error{Fault::kConfig, "the old process continues to serve: " + failed}, "");
    return;
  }
  log::Info("hand-over: process {} serves; this process ends after its {}{}", successor->pid(),
            Counted(proxy_->Load(), "session"),
            control_ ? "" : "; nothing reaches it, since there is no --control");
  if (answer) {
    answer(Ok(), fmt::format("process {} serves; {} left in the old one", successor->pid(),
                             Counted(proxy_->Load(), "session")));
  }
  draining_ = handed_over_ = shared_ = true;
  service_.HandOverTo(successor->pid());
  state_->GiveUp();
  HandOverAdmin();
  if (generations_) generations_->Forget();  // the new process speaks for them
  // The process that rotates the log only signals the process that serves.
  Every(kLogLook, [](evutil_socket_t, short, void*) { log::Reopen(); });
  Drain();
}

}  // namespace rum
