// The proxy: owns settings, module, listeners and workers; starts, drains and stops them.
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
#include "limits/other_nodes.h"
#include "limits/user_limits.h"
#include "net/pipes.h"
#include "proxy/kept_connections.h"
#include "proxy/refused_clients.h"
#include "proxy/server_counters.h"
#include "upstream/connect_throttle.h"
#include "upstream/dead_addresses.h"

namespace rum {

class Admission;
class AccessControl;
class HookWatch;
class InheritedSockets;
class GeoDatabase;
class Listener;
class LoginPauses;
class MapFile;
class ModuleConfig;
class MovedSessions;
class ServerHealth;
class RemoteMap;
class Resolver;
class SessionLister;
class Share;
class ShareAsk;
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

  // [any] Runs `task` on the worker that issued `ticket`, for calls without a session. False: that
  // worker no longer exists.
  static bool PostFor(uint64_t ticket, std::function<void(Worker& worker)> task);
  // [any] Ends the pause of a session that waited for its turn to log in.
  static void ResumeFor(uint64_t ticket);
  // [any] A pause of new logins has ended for this one.
  static void EndPauseFor(uint64_t ticket);

  // [main] Binds every address, or takes its socket from `inherited`; accepts nothing yet.
  Status Bind(InheritedSockets* inherited = nullptr);
  // [main] Starts the workers.
  Status Start();
  // [main] Starts serving; clients since Bind() have waited in the kernel's queue.
  void Serve();
  // [main] Accepts no new clients; sessions continue. `handed_over`: another process has the
  // sockets, too.
  void Drain(bool handed_over = false);
  // [main] Before Start(): all ids of sessions will be greater.
  void StartIdsAbove(uint64_t id) { ids_above_ = id; }
  // [main] An id that no session will have until a hand-over that begins now is over.
  uint64_t IdsAbove() const;
  // [main] The number of client connections, and of probes.
  size_t Load() const;
  // [main] Ends every session.
  void EndSessions(uint32_t reason);
  // [main] True once it drains and every session has ended.
  bool Idle() const;
  // [main] Ends every session without waiting for last words to arrive.
  void Stop();
  // [main] Drains, and waits for the workers.
  void Join();
  // [main] The same, with a timeout. False: a worker is stuck in a hook, and nothing that it may
  // use can be destroyed.
  [[nodiscard]] bool JoinWithin(Millis most);
  // [main] Moves listeners of stuck workers to others.
  void RelieveStuck();

  // [main] Probes a server. Only if the module has the hook, and after Start().
  void BeginProbe(Probe probe);

  // [main] Gives the workers a new map; allowed before Start().
  void SetMap(std::shared_ptr<const MapFile> map);
  const std::shared_ptr<const MapFile>& map() const { return map_; }
  // [main] The map's sources on other machines; before Start(). nullptr: there are none.
  void SetRemoteMap(std::unique_ptr<RemoteMap> remote);
  RemoteMap* remote_map() { return remote_map_.get(); }
  const RemoteMap* remote_map() const { return remote_map_.get(); }
  // [main] The exchange with other processes; before Start(). nullptr: there is none.
  void SetShare(std::unique_ptr<Share> share);
  Share* share() { return share_.get(); }
  const Share* share() const { return share_.get(); }
  // [main] Questions to other processes for entries of "rum.shared/1"; before Start(). nullptr:
  // none is asked.
  void SetShareAsk(std::unique_ptr<ShareAsk> ask);
  ShareAsk* share_ask() { return share_ask_.get(); }  // [any]
  const ShareAsk* share_ask() const { return share_ask_.get(); }
  OtherNodes& other_nodes() { return other_nodes_; }
  const OtherNodes& other_nodes() const { return other_nodes_; }
  // [main] Gives the workers a new country database, nullptr: none; allowed before Start().
  void SetGeo(std::shared_ptr<const GeoDatabase> geo);
  const std::shared_ptr<const GeoDatabase>& geo() const { return geo_; }
  // [main] Gives the workers new certificates; allowed before Start().
  void SetTls(std::shared_ptr<const TlsContexts> tls);
  // [main] Applies new settings and a new configuration of the module.
  void Reload(std::shared_ptr<const Settings> settings, std::shared_ptr<const ModuleConfig> config);

  // [worker] The worker for the next client that `self` has accepted.
  Worker& LeastLoaded(Worker& self);

  MainQueue& main_queue() { return queue_; }
  Resolver& resolver() { return *resolver_; }
  Admission& admission() { return *admission_; }
  const Admission& admission() const { return *admission_; }
  ServerHealth& server_health() { return *server_health_; }
  const ServerHealth& server_health() const { return *server_health_; }
  LoginPauses& pauses() { return *pauses_; }
  const LoginPauses& pauses() const { return *pauses_; }
  DeadAddresses& dead_addresses() { return dead_addresses_; }
  // [any] Sessions by server, including those that are connecting.
  ConnectThrottle& connect_throttle() { return connect_throttle_; }
  KeptBudget& kept() { return kept_; }
  // [any] Closes what is kept: of a server, or of all if it is empty.
  void DropKept(const std::string& server = {});
  // [worker] A call has failed with IsShortage(): closes what is kept.
  enum class GaveWay {
    kNothing,  // nothing is kept
    kNow,      // a descriptor is free
    kSoon      // other workers close theirs in their next turn
  };
  static constexpr uint64_t kSoonMost = 1000;  // ms; a worker whose turn takes longer is stuck
  GaveWay GiveWay(Worker& self);
  NamedLimiter& loads() { return loads_; }
  const NamedLimiter& loads() const { return loads_; }
  // [any] Servers that have counters of their own (--metrics-servers).
  ServerPlaces& server_places() { return server_places_; }
  const ServerPlaces& server_places() const { return server_places_; }
  PipeBudget& pipes() { return pipes_; }
  RefusedClients& refused_clients() { return refused_clients_; }  // [any]
  // [any] For round-robin.
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
  void ShareDescriptors(const Settings& settings);
  // So that the log says at once which names of -d do not exist, and no first client waits.
  void ResolveDestinations();

  std::shared_ptr<const Settings> settings_;
  std::shared_ptr<const ModuleConfig> module_config_;
  MainQueue queue_;
  std::unique_ptr<Resolver> resolver_;
  std::unique_ptr<RemoteMap> remote_map_;  // uses the resolver
  OtherNodes other_nodes_;
  std::unique_ptr<Admission> admission_;
  std::unique_ptr<AccessControl> access_control_;
  std::unique_ptr<Share> share_;         // uses the resolver and both
  std::unique_ptr<ShareAsk> share_ask_;  // uses the resolver
  std::unique_ptr<ServerHealth> server_health_;
  DeadAddresses dead_addresses_;
  ConnectThrottle connect_throttle_;
  PipeBudget pipes_;
  RefusedClients refused_clients_;
  NamedLimiter loads_;
  ServerPlaces server_places_;
  KeptBudget kept_;
  std::atomic<uint32_t> turn_ = 0;
  std::unique_ptr<LoginPauses> pauses_;
  std::unique_ptr<SessionLister> lister_;
  std::unique_ptr<MovedSessions> moved_;
  std::unique_ptr<HookWatch> hook_watch_;
  std::shared_ptr<const MapFile> map_;
  std::shared_ptr<const GeoDatabase> geo_;
  std::shared_ptr<const TlsContexts> tls_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::vector<std::unique_ptr<Listener>> listeners_;
  event_base* const base_;
  uint64_t ids_above_ = 0;
  size_t next_prober_ = 0;  // worker for the next probe
  bool draining_ = false;
  bool serves_ = false;
  std::atomic<size_t> settling_ = 0;  // listeners whose worker may still hand over a client
};

}  // namespace rum
