#include "proxy/proxy.h"

#include <signal.h>

#include <algorithm>
#include <mutex>
#include <random>

#include "limits/admission.h"
#include "map/map_file.h"
#include "module/module_config.h"
#include "options.h"
#include "proxy/listener.h"
#include "proxy/worker.h"
#include "upstream/resolver.h"

namespace rum {
namespace {

std::mutex mutex;  // guards the_proxy, so that it is not used while it goes
Proxy* the_proxy = nullptr;

}  // namespace

bool Proxy::PostFor(uint64_t ticket, std::function<void(Worker& worker)> task) {
  std::lock_guard lock(mutex);
  unsigned index = Worker::WorkerOf(ticket);
  if (!the_proxy || ticket == 0 || index >= the_proxy->workers_.size()) return false;
  Worker& worker = *the_proxy->workers_[index];
  return worker.Post([&worker, task = std::move(task)] { task(worker); });
}

Proxy::Proxy(event_base* base, std::shared_ptr<const Settings> settings,
             std::shared_ptr<const ModuleConfig> module_config)
    : settings_(std::move(settings)),
      module_config_(std::move(module_config)),
      resolver_(std::make_unique<Resolver>(base, settings_->dns_refresh, settings_->dns_timeout,
                                           settings_->resolv_conf)),
      admission_(std::make_unique<Admission>(settings_->user_limit, settings_->login_guard)) {}

Proxy::~Proxy() {
  {
    std::lock_guard lock(mutex);
    if (the_proxy == this) the_proxy = nullptr;
  }
  Join();
}

Status Proxy::Bind() {
  for (const Address& address : settings_->listeners) {
    auto fd = OpenListeningSocket(address, settings_->socket_mode);
    if (!fd) return fd.error();
    listeners_.push_back(std::make_unique<Listener>(*this, address, std::move(*fd)));
  }
  return Ok();
}

Status Proxy::Start() {
  for (unsigned i = 0; i < settings_->workers; ++i) {
    workers_.push_back(std::make_unique<Worker>(*this, i));
    workers_.back()->set_map(map_);
    workers_.back()->set_tls(tls_);
  }
  // Signals are the main thread's; a worker inherits this mask.
  sigset_t all, old;
  sigfillset(&all);
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
  // Only now: the first client may be handed to any worker.
  listening_ = listeners_.size();
  for (size_t i = 0; i < listeners_.size(); ++i) {
    Worker& worker = *workers_[i % workers_.size()];
    worker.Post([listener = listeners_[i].get(), &worker] { listener->Attach(worker); });
  }
  return status;
}

void Proxy::Drain() {
  if (draining_) return;
  draining_ = true;
  auto drain_workers = [this] {
    for (auto& worker : workers_) worker->Post([w = worker.get()] { w->Drain(); });
  };
  if (listening_ == 0) return drain_workers();
  // A worker may end only when nobody can hand it a client any more: the listener that closes last
  // tells them, behind every client that was handed over before.
  for (size_t i = 0; i < listeners_.size(); ++i) {
    workers_[i % workers_.size()]->Post([this, listener = listeners_[i].get(), drain_workers] {
      listener->Close();
      if (--listening_ == 0) drain_workers();
    });
  }
}

void Proxy::EndSessions(uint32_t reason) {
  for (auto& worker : workers_)
    worker->Post([w = worker.get(), reason] { w->EndSessions(reason); });
}

void Proxy::Stop() {
  for (auto& worker : workers_) worker->Post([w = worker.get()] { w->Stop(); });
}

bool Proxy::Idle() const {
  return draining_ && listening_ == 0 &&
         std::all_of(workers_.begin(), workers_.end(), [](const auto& worker) {
           return worker->load.load(std::memory_order_relaxed) == 0;
         });
}

void Proxy::Join() {
  if (!workers_.empty()) {
    Drain();
    for (auto& worker : workers_) worker->Join();
  }
  listeners_.clear();
}

void Proxy::SetMap(std::shared_ptr<const MapFile> map) {
  map_ = map;
  for (auto& worker : workers_) worker->Post([w = worker.get(), map] { w->set_map(map); });
}

void Proxy::SetTls(std::shared_ptr<const TlsContexts> tls) {
  tls_ = tls;
  for (auto& worker : workers_) worker->Post([w = worker.get(), tls] { w->set_tls(tls); });
}

Worker& Proxy::LeastLoaded(Worker& self) {
  Worker* least = &self;
  uint32_t load = self.load.load(std::memory_order_relaxed);
  for (const auto& worker : workers_) {
    uint32_t other = worker->load.load(std::memory_order_relaxed);
    if (other < load) {
      load = other;
      least = worker.get();
    }
  }
  return *least;
}

std::vector<Address> Proxy::DefaultDestinations() const {
  auto destinations = settings_->destinations;
  if (settings_->shuffle_destinations && destinations.size() > 1) {
    thread_local std::minstd_rand random(std::random_device{}());
    std::shuffle(destinations.begin(), destinations.end(), random);
  }
  return destinations;
}

}  // namespace rum
