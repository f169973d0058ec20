// The running process: owns everything on the main loop, from the first socket to the end.
#pragma once

#include <event2/event.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "admin/generations.h"
#include "admin/http.h"
#include "daemon/background.h"
#include "daemon/privileges.h"
#include "daemon/service.h"
#include "daemon/successor.h"
#include "geo/geo_watcher.h"
#include "map/map_watcher.h"
#include "module/state_store.h"
#include "net/inherited_sockets.h"
#include "probe/explainer.h"
#include "probe/prober.h"
#include "proxy/proxy.h"
#include "settings/options.h"
#include "tls/tls_contexts.h"

namespace rum {

// Warnings about the rules of a map that is otherwise valid.
std::vector<std::string> Complaints(const MapFile& map, bool has_countries);

// [main, before any thread] Blocks the signals that control a running process until a Daemon
// serves; before that, their default action would end the process.
void HoldSignals();

class Daemon {
 public:
  // The origin of this process, and how to start its successor.
  struct Origin {
    int argc;
    char** argv;
    Program program;
    InheritedSockets sockets;
    bool takes_over;  // takes over from a process that serves until this one is ready
    std::optional<Identity> identity;  // the user to switch to
    bool has_map;                      // the previous process has a map
    std::vector<HandoverNote::ServerAdmin> admin_states;
    std::vector<HandoverNote::Pause> pauses;
    Fd pidfile;                           // the lock of the previous process
    std::vector<Generation> generations;  // older processes, the previous one included
    uint64_t ids_above;                   // of their sessions
  };

  // [main] This and all below.
  Daemon(Origin origin, CommandLine line, Background& background, Service& service);
  ~Daemon();
  Daemon(const Daemon&) = delete;
  Daemon& operator=(const Daemon&) = delete;

  // Binds, loads and opens everything and starts the workers.
  Status Start();
  // Serves until a signal ends it. Returns an error if taking over fails.
  Status Run();
  // Waits for the workers, after Start() or Run(). False: one does not return from a hook of the
  // module; the process has nothing left to do, and must end without destroying anything.
  [[nodiscard]] bool Join();

 private:
  // daemon.cc
  Status JudgeStateDirectory(uid_t owner) const;
  // nullopt: none is required.
  static Result<std::optional<StatisticsToken>> ReadToken(const Settings& settings);
  Status OpenAdmin();
  void WatchSignals();
  void BeginInheritedPauses();
  Status DropPrivileges();
  void Serve();
  void UseTls(std::shared_ptr<const TlsContexts> tls);
  Overview overview() const {
    return {.proxy = *proxy_,
            .prober = *prober_,
            .explainer = *explainer_,
            .map = watcher_.get(),
            .started = started_,
            .draining = draining_,
            .tls = tls_.get(),
            .geo = geo_.get(),
            .older = generations_.get(),
            .map_destinations = &map_destinations_,
            .handing_over = successor_ != nullptr,
            .starting = !serving_ && !origin_.takes_over};
  }
  static void OnFirstProbesOver(evutil_socket_t, short, void* self);
  static void OnMemoryLook(evutil_socket_t, short, void* self);
  static void OnServiceTick(evutil_socket_t, short, void* self);
  static void OnSignal(evutil_socket_t number, short, void* self);
  event* Every(timeval interval, event_callback_fn callback);

  // daemon_map.cc
  Status WatchMap();
  void UseMap(std::shared_ptr<const MapFile> map);
  Status StartRemoteMap();
  bool AwaitsMap() const;
  Status HasTheMapOfBefore() const;
  void SetDestinations();
  // nullptr without --geo-db. Proxy::SetGeo() is left to the caller.
  Result<std::unique_ptr<GeoWatcher>> WatchGeo(const Settings& settings);
  void UseGeo(std::unique_ptr<GeoWatcher> geo);
  void SetGeo();

  // daemon_reload.cc
  void ReloadAll(Actions::Answer answer = {});  // for SIGHUP
  struct Reloaded {
    std::vector<std::string> applied;
    std::vector<std::string> kept;        // options that need a new process
    std::vector<std::string> taken_back;  // options that rumctl had set, and the files set now
  };
  Result<Reloaded> Reload();
  void LookAtTls(bool again);
  Status SetLogLevel(log::Level level);
  Status SetLimit(const std::string& option, const std::string& value);
  static void OnTlsLook(evutil_socket_t, short, void* self);

  // daemon_end.cc
  void OnTerm();
  void Drain();
  void EndDrainIn(Millis most);
  void Stop();
  void HandOver(Actions::Answer answer = {});
  void GiveUpHandOver();
  void HandOverAdmin();
  std::vector<Generation> NextGenerations();
  void OnSuccessor(const std::string& failed);
  static void OnDelayOver(evutil_socket_t, short, void* self);
  static void OnIdleLook(evutil_socket_t, short, void* self);
  static void OnDrainOver(evutil_socket_t, short, void* self);

  Origin origin_;
  std::shared_ptr<const Settings> configured_;
  ByHand by_hand_;
  std::shared_ptr<const Settings> settings_;  // configured_ with by_hand_
  std::shared_ptr<const Module> module_;
  Background& background_;
  Service& service_;
  event_base* base_;
  std::unique_ptr<StateStore> state_;
  std::unique_ptr<Proxy> proxy_;
  // Destroyed after the workers have ended, which post to both of these.
  std::unique_ptr<Prober> prober_;
  std::unique_ptr<Explainer> explainer_;
  std::unique_ptr<MapWatcher> watcher_;
  std::vector<std::string> remote_destinations_, map_destinations_;
  std::unique_ptr<GeoWatcher> geo_;
  std::unique_ptr<StatisticsServer> statistics_, control_;  // -m, --control
  std::unique_ptr<Generations> generations_;  // nullptr: this process is the first one
  std::unique_ptr<Successor> successor_;      // while it starts
  Actions::Answer upgraded_;                  // called with its result
  Pidfile pidfile_;
  std::vector<event*> events_;
  std::shared_ptr<const TlsContexts> tls_;
  TlsFilesStamp tls_stamp_;
  Status tls_status_ = Ok();  // result of the last load
  event* first_probes_ = nullptr;
  event* reload_ = nullptr;  // added by SIGHUP
  event* drain_over_ = nullptr;
  uint64_t started_ = NowMillis();
  uint64_t next_map_line_ = 0;  // when changes of the map may be logged again
  // Progress reports of the drain: monotonic ms, interval in ms.
  uint64_t report_at_ = 0, report_every_ = 0;
  uint64_t idle_since_ = 0;  // monotonic ms; 0: has sessions, or does not drain
  Status result_ = Ok();
  bool shared_;               // another process uses the sockets, so their files are kept
  bool memory_full_ = false;  // --max-memory is exceeded
  bool serving_ = false;
  bool draining_ = false;       // the process is ending
  bool handed_over_ = false;    // another process has taken over
  bool drain_expired_ = false;  // the drain timeout has expired
};

}  // namespace rum
