#include "proxy/proxy.h"

#include <signal.h>

#include <algorithm>
#include <mutex>

#include "base/log.h"
#include "limits/access_control.h"
#include "limits/admission.h"
#include "limits/descriptors.h"
#include "lookup/remote_map.h"
#include "map/map_file.h"
#include "module/module_config.h"
#include "net/listening_socket.h"
#include "proxy/hook_watch.h"
#include "proxy/listener.h"
#include "proxy/login_pauses.h"
#include "proxy/moved_sessions.h"
#include "proxy/probe.h"
#include "proxy/session.h"
#include "proxy/session_list.h"
#include "proxy/worker.h"
#include "settings/settings.h"
#include "share/share.h"
#include "share/share_ask.h"
#include "upstream/resolver.h"
#include "upstream/server_health.h"

namespace rum {
namespace {

std::mutex mutex;  // guards the_proxy against use during its destruction
Proxy* the_proxy = nullptr;

void WarnOfDescriptors(const Settings& settings) {
  auto missing = DescriptorsMissing(settings.access_control.max_connections);
  if (missing) log::Warning("{}", *missing);
}

// More sessions than a worker can begin while a new process starts (Successor::kTimeout).
constexpr uint64_t kIdsOfHandover = 1 << 20;

// A pipe has two ends.
int64_t PipesToSpare(uint64_t spare) {
  return static_cast<int64_t>(std::min<uint64_t>(spare / 2, INT64_MAX));
}

}  // namespace

bool Proxy::PostFor(uint64_t ticket, std::function<void(Worker& worker)> task) {
  std::lock_guard lock(mutex);
  unsigned index = Worker::WorkerOf(ticket);
  if (!the_proxy || ticket == 0 || index >= the_proxy->workers_.size()) return false;
  Worker& worker = *the_proxy->workers_[index];
  return worker.Post([&worker, task = std::move(task)] { task(worker); });
}

void Proxy::ResumeFor(uint64_t ticket) {
  PostFor(ticket, [ticket](Worker& worker) {
    if (Session* session = worker.Redeem(ticket)) {
      session->OnResumed(ticket, RUM_OK, nullptr, nullptr);
    }
  });
}

void Proxy::EndPauseFor(uint64_t ticket) {
  PostFor(ticket, [ticket](Worker& worker) {
    if (Session* session = worker.Redeem(ticket)) session->OnPauseEnded();
  });
}

Proxy::Proxy(event_base* base, std::shared_ptr<const Settings> settings,
             std::shared_ptr<const ModuleConfig> module_config)
    : settings_(std::move(settings)),
      module_config_(std::move(module_config)),
      queue_(base),
      resolver_(std::make_unique<Resolver>(base, settings_->dns_refresh, settings_->dns_timeout,
                                           settings_->resolv_conf)),
      admission_(std::make_unique<Admission>(ResumeFor, &other_nodes_)),
      access_control_(std::make_unique<AccessControl>(NowMicros, &other_nodes_)),
      server_health_(std::make_unique<ServerHealth>()),
      server_places_(settings_->metrics_servers),
      // What the cache has may be from before the move that the pause was for.
      pauses_(std::make_unique<LoginPauses>(base, EndPauseFor,
                                            [this] {
                                              if (remote_map_) remote_map_->SuspectAll();
                                            })),
      lister_(std::make_unique<SessionLister>(*this)),
      moved_(std::make_unique<MovedSessions>(*this, base)),
      hook_watch_(std::make_unique<HookWatch>(*this)),
      base_(base) {}

uint64_t Proxy::IdsAbove() const {
  uint64_t most = ids_above_ / settings_->workers + 1;
  for (const auto& worker : workers_) most = std::max(most, worker->ids_given.get());
  return (most + kIdsOfHandover + 1) * settings_->workers;
}

Proxy::~Proxy() {
  {
    std::lock_guard lock(mutex);
    if (the_proxy == this) the_proxy = nullptr;
  }
  Join();
}

Status Proxy::Bind(InheritedSockets* inherited) {
  for (const Address& address : settings_->listeners) {
    auto socket = OpenListeningSocket(address, settings_->socket_mode, inherited);
    if (!socket) return socket.error();
    listeners_.push_back(std::make_unique<Listener>(*this, address, std::move(*socket)));
  }
  return Ok();
}

Status Proxy::Start() {
  if (!queue_.works())
    return Error{Fault::kSystem, "out of descriptors or memory for the main loop"};
  if (auto status = resolver_->status(); !status) return status;
  WarnOfDescriptors(*settings_);
  ShareDescriptors(*settings_);
  for (unsigned i = 0; i < settings_->workers; ++i) {
    workers_.push_back(std::make_unique<Worker>(*this, i));
    if (ids_above_) workers_.back()->ids_given.Add(ids_above_ / settings_->workers + 1);
    workers_.back()->set_map(map_);
    workers_.back()->set_geo(geo_);
    workers_.back()->set_tls(tls_);
  }
  // Only the main thread gets signals; a worker inherits this mask.
  sigset_t all, old;
  sigfillset(&all);
  // Signals by a thread's own faults; if blocked, they would end the process without its last log
  // line.
  for (int number : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT}) sigdelset(&all, number);
  pthread_sigmask(SIG_SETMASK, &all, &old);
  Status status = Ok();
  for (auto& worker : workers_) {
    status = worker->Start();
    if (!status) break;
  }
  pthread_sigmask(SIG_SETMASK, &old, nullptr);
  if (!status) return status;
  {
    std::lock_guard lock(mutex);
    the_proxy = this;
  }
  return status;
}

// What clients do not need is for what makes them faster, or says no politely.
void Proxy::ShareDescriptors(const Settings& settings) {
  const uint64_t spare = SpareDescriptors(settings.access_control.max_connections);
  pipes_.set_most(PipesToSpare(spare));
  refused_clients_.set_spare(spare);
  kept_.set_most(spare / 4);  // one descriptor each, which a pipe could have
}

void Proxy::Serve() {
  if (draining_) return;
  ResolveDestinations();
  // Not earlier: any worker may get the first client.
  serves_ = true;
  for (size_t i = 0; i < listeners_.size(); ++i) {
    listeners_[i]->AcceptOn(*workers_[i % workers_.size()]);
  }
  hook_watch_->Start(base_);
}

void Proxy::ResolveDestinations() {
  for (const Address& address : settings_->destinations) {
    if (address.kind != Address::Kind::kTcp || SocketAddress::Numeric(address.host, 0)) continue;
    resolver_->Ask(address.host, [](std::vector<SocketAddress>) {});
  }
}

void Proxy::RelieveStuck() {
  for (const auto& listener : listeners_) {
    if (!listener->worker() || !listener->worker()->stuck) continue;
    auto listeners_of = [this](const Worker& worker) {
      return std::count_if(listeners_.begin(), listeners_.end(),
                           [&](const auto& one) { return one->worker() == &worker; });
    };
    Worker* next = nullptr;
    for (const auto& worker : workers_) {
      if (worker->stuck) continue;
      if (!next || listeners_of(*worker) < listeners_of(*next)) next = worker.get();
    }
    if (next) listener->AcceptOn(*next);
  }
}

// One after the other, so that no worker has much to do.
void Proxy::BeginProbe(Probe probe) {
  for (size_t i = 0; i < workers_.size(); ++i, ++next_prober_) {
    if (!workers_[next_prober_ % workers_.size()]->stuck) break;
  }
  Worker& worker = *workers_[next_prober_++ % workers_.size()];
  worker.load.fetch_add(1, std::memory_order_relaxed);
  auto shared = std::make_shared<Probe>(std::move(probe));
  bool posted = worker.Post([&worker, shared] { worker.BeginProbe(std::move(*shared)); });
  if (!posted) worker.RefuseProbe(std::move(*shared));
}

void Proxy::Drain(bool handed_over) {
  if (draining_) return;
  draining_ = true;
  auto drain_workers = [this] {
    for (auto& worker : workers_) worker->Post([w = worker.get()] { w->Drain(); });
  };
  // Whatever the workers do: the address is free from here on.
  for (auto& listener : listeners_) listener->Close(handed_over);
  if (!serves_ || listeners_.empty()) return drain_workers();
  // A worker may end only after nobody can hand it a client: the last of the acceptors posts this
  // to the workers, after all clients that were handed over. One that is stuck in a hook hands
  // nothing over.
  settling_ = listeners_.size();
  for (auto& listener : listeners_) {
    auto settle = [this, drain_workers] {
      if (--settling_ == 0) drain_workers();
    };
    if (listener->worker()->stuck || !listener->worker()->Post(settle)) settle();
  }
}

void Proxy::DropKept(const std::string& server) {
  if (kept_.all() == 0) return;
  for (auto& worker : workers_) {
    worker->Post(
        [w = worker.get(), server] { server.empty() ? w->kept.DropAll() : w->kept.Drop(server); });
  }
}

// The others' go, too, for whoever comes next.
Proxy::GaveWay Proxy::GiveWay(Worker& self) {
  if (kept_.all() == 0) return GaveWay::kNothing;
  const bool freed = self.kept.DropOldest();
  DropKept();
  return freed ? GaveWay::kNow : GaveWay::kSoon;
}

void Proxy::EndSessions(uint32_t reason) {
  for (auto& worker : workers_)
    worker->Post([w = worker.get(), reason] { w->EndSessions(reason); });
}

void Proxy::Stop() {
  for (auto& worker : workers_) worker->Post([w = worker.get()] { w->Stop(); });
}

size_t Proxy::Load() const {
  size_t sum = 0;
  for (const auto& worker : workers_) sum += worker->load.load(std::memory_order_relaxed);
  return sum;
}

bool Proxy::Idle() const { return draining_ && settling_ == 0 && Load() == 0; }

void Proxy::Join() {
  if (!workers_.empty()) {
    Drain();
    for (auto& worker : workers_) worker->Join();
  }
  listeners_.clear();
}

bool Proxy::JoinWithin(Millis most) {
  if (!workers_.empty()) Drain();
  const auto end = std::chrono::steady_clock::now() + most;
  for (auto& worker : workers_) {
    if (!worker->EndsBy(end)) return false;
  }
  Join();
  return true;
}

void Proxy::SetMap(std::shared_ptr<const MapFile> map) {
  map_ = map;
  for (auto& worker : workers_) worker->Post([w = worker.get(), map] { w->set_map(map); });
  moved_->OnMap();
}

void Proxy::SetRemoteMap(std::unique_ptr<RemoteMap> remote) { remote_map_ = std::move(remote); }

void Proxy::SetShare(std::unique_ptr<Share> share) { share_ = std::move(share); }
void Proxy::SetShareAsk(std::unique_ptr<ShareAsk> ask) { share_ask_ = std::move(ask); }

void Proxy::SetGeo(std::shared_ptr<const GeoDatabase> geo) {
  geo_ = geo;
  for (auto& worker : workers_) worker->Post([w = worker.get(), geo] { w->set_geo(geo); });
}

void Proxy::SetTls(std::shared_ptr<const TlsContexts> tls) {
  tls_ = tls;
  for (auto& worker : workers_) worker->Post([w = worker.get(), tls] { w->set_tls(tls); });
}

void Proxy::Reload(std::shared_ptr<const Settings> settings,
                   std::shared_ptr<const ModuleConfig> config) {
  if (settings->access_control.max_connections != settings_->access_control.max_connections) {
    WarnOfDescriptors(*settings);
    ShareDescriptors(*settings);
  }
  settings_ = settings;
  module_config_ = config;
  ResolveDestinations();
  for (auto& worker : workers_) {
    worker->Post([w = worker.get(), settings, config] { w->Reload(settings, config); });
  }
}

Worker& Proxy::LeastLoaded(Worker& self) {
  Worker* least = &self;
  uint32_t load = self.load.load(std::memory_order_relaxed);
  for (const auto& worker : workers_) {
    uint32_t other = worker->load.load(std::memory_order_relaxed);
    if (other < load && !worker->stuck.load(std::memory_order_relaxed)) {
      load = other;
      least = worker.get();
    }
  }
  return *least;
}

}  // namespace rum
