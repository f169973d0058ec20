// The whole of it: settings, module, listeners, workers, and how they start, drain and stop.
#pragma once

#include <event2/event.h>

#include <atomic>
#include <functional>
#include <memory>
#include <vector>

#include "base/address.h"
#include "base/clock.h"
#include "base/main_queue.h"
#include "base/result.h"
#include "limits/user_limits.h"
#include "net/pipes.h"
#include "upstream/connect_throttle.h"
#include "upstream/dead_addresses.h"

namespace rum {

class Admission;
class AccessControl;
class HookWatch;
class InheritedSockets;
class GeoDatabase;
class Listener;
class MapFile;
class ModuleConfig;
class ServerHealth;
class Resolver;
class SessionLister;
class Worker;
struct Probe;
struct Settings;
struct TlsContexts;

class Proxy {
 public:
  // [main] `base` is the main thread's.
  Proxy(event_base* base, std::shared_ptr<const Settings> settings,
        std::shared_ptr<const ModuleConfig> module_config);
  ~Proxy();
  Proxy(const Proxy&) = delete;

  // [any] Runs `task` on the worker that gave out `ticket`, for calls that carry no session. False:
  // there is no such worker any more.
  static bool PostFor(uint64_t ticket, std::function<void(Worker& worker)> task);
  // [any] Ends the pause of a session that waited for its turn to log in.
  static void ResumeFor(uint64_t ticket);

  // [main] Binds every address, or takes its socket out of `inherited`; nothing is accepted yet.
  Status Bind(InheritedSockets* inherited = nullptr);
  // [main] Starts the workers.
  Status Start();
  // [main] From here on clients are served; those who came since Bind() wait in the kernel's queue.
  void Serve();
  // [main] No new clients; sessions go on. `handed_over`: another process has the sockets as well.
  void Drain(bool handed_over = false);
  // [main] How many connections of clients there are, and probes.
  size_t Load() const;
  // [main] Ends every session.
  void EndSessions(uint32_t reason);
  // [main] True once drained and every session is gone.
  bool Idle() const;
  // [main] Ends every session without waiting for last words to arrive.
  void Stop();
  // [main] Drains, and waits for the workers.
  void Join();
  // [main] The same, no longer than that. False: a worker is stuck in a hook, and nothing that it
  // may use can be destroyed any more.
  [[nodiscard]] bool JoinWithin(Millis most);
  // [main] Listeners of workers that are stuck go to others.
  void RelieveStuck();

  // [main] Asks a server on rum's own account. Only when the module has a hook for it, and after
  // Start().
  void BeginProbe(Probe probe);

  // [main] Gives the workers a new map. Before Start() too.
  void SetMap(std::shared_ptr<const MapFile> map);
  const std::shared_ptr<const MapFile>& map() const { return map_; }
  // [main] Gives the workers a new country database; nullptr: none. Before Start() too.
  void SetGeo(std::shared_ptr<const GeoDatabase> geo);
  const std::shared_ptr<const GeoDatabase>& geo() const { return geo_; }
  // [main] Gives the workers new certificates. Before Start() too.
  void SetTls(std::shared_ptr<const TlsContexts> tls);
  // [main] Goes on with other settings and another configuration of the module.
  void Reload(std::shared_ptr<const Settings> settings, std::shared_ptr<const ModuleConfig> config);

  // [worker] Who takes the next client that `self` accepted.
  Worker& LeastLoaded(Worker& self);

  MainQueue& main_queue() { return queue_; }
  Resolver& resolver() { return *resolver_; }
  Admission& admission() { return *admission_; }
  const Admission& admission() const { return *admission_; }
  ServerHealth& server_health() { return *server_health_; }
  const ServerHealth& server_health() const { return *server_health_; }
  DeadAddresses& dead_addresses() { return dead_addresses_; }
  // [any] Sessions by server, those that are being connected too.
  ConnectThrottle& connect_throttle() { return connect_throttle_; }
  NamedLimiter& loads() { return loads_; }
  const NamedLimiter& loads() const { return loads_; }
  PipeBudget& pipes() { return pipes_; }
  // [any] For servers that take turns.
  uint32_t NextTurn() { return turn_.fetch_add(1, std::memory_order_relaxed); }
  AccessControl& access_control() { return *access_control_; }
  const AccessControl& access_control() const { return *access_control_; }
  const HookWatch& hook_watch() const { return *hook_watch_; }  // [main]
  SessionLister& lister() const { return *lister_; }            // [main]
  // [main]
  const std::shared_ptr<const Settings>& settings() const { return settings_; }
  const std::shared_ptr<const ModuleConfig>& module_config() const { return module_config_; }
  const std::vector<std::unique_ptr<Worker>>& workers() const { return workers_; }
  const std::vector<std::unique_ptr<Listener>>& listeners() const { return listeners_; }

 private:
  std::shared_ptr<const Settings> settings_;
  std::shared_ptr<const ModuleConfig> module_config_;
  MainQueue queue_;
  std::unique_ptr<Resolver> resolver_;
  std::unique_ptr<Admission> admission_;
  std::unique_ptr<AccessControl> access_control_;
  std::unique_ptr<ServerHealth> server_health_;
  DeadAddresses dead_addresses_;
  ConnectThrottle connect_throttle_;
  PipeBudget pipes_;
  NamedLimiter loads_;
  std::atomic<uint32_t> turn_ = 0;
  std::unique_ptr<SessionLister> lister_;
  std::unique_ptr<HookWatch> hook_watch_;
  std::shared_ptr<const MapFile> map_;
  std::shared_ptr<const GeoDatabase> geo_;
  std::shared_ptr<const TlsContexts> tls_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::vector<std::unique_ptr<Listener>> listeners_;
  event_base* const base_;
  size_t next_prober_ = 0;  // the worker that makes the next probe
  bool draining_ = false;
  bool serves_ = false;
  std::atomic<size_t> settling_ = 0;  // listeners whose worker may still hand on a client
};

}  // namespace rum
