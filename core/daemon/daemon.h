// The running process: everything that lives on the main loop, from the first socket to the end.
#pragma once

#include <event2/event.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "admin/http.h"
#include "daemon/background.h"
#include "daemon/privileges.h"
#include "daemon/service.h"
#include "daemon/successor.h"
#include "map/map_watcher.h"
#include "module/state_store.h"
#include "net/inherited_sockets.h"
#include "probe/explainer.h"
#include "probe/prober.h"
#include "proxy/proxy.h"
#include "settings/options.h"
#include "tls/tls_contexts.h"

namespace rum {

// What an operator must know of the rules in a map that is otherwise good.
std::vector<std::string> Complaints(const MapFile& map);

// [main, before any thread] Signals that ask a running process for something wait until there is a
// Daemon that serves; they would end the process before.
void HoldSignals();

class Daemon {
 public:
  // Where it comes from, and how the next one is made.
  struct Origin {
    int argc;
    char** argv;
    Program program;
    InheritedSockets sockets;
    bool takes_over;                   // from a process that serves until this one is ready
    std::optional<Identity> identity;  // who it is to become
    bool has_map;                      // the process that it takes over from
    std::vector<HandoverNote::ServerAdmin> admin_states;
    Fd pidfile;  // the other one's lock
  };

  // [main] What follows, too.
  Daemon(Origin origin, CommandLine line, Background& background, Service& service);
  ~Daemon();
  Daemon(const Daemon&) = delete;
  Daemon& operator=(const Daemon&) = delete;

  // Binds, loads and opens everything, and starts the workers.
  Status Start();
  // Serves until a signal ends it. An error: it could not take over.
  Status Run();

 private:
  // daemon.cc
  Status JudgeStateDirectory(uid_t owner) const;
  Status WatchMap();
  Status OpenAdmin();
  void WatchSignals();
  Status DropPrivileges();
  void Serve();
  void UseTls(std::shared_ptr<const TlsContexts> tls);
  Overview overview() const {
    return {*proxy_, *prober_, *explainer_, watcher_.get(), started_, draining_, tls_.get()};
  }
  void ReloadAll(Actions::Answer answer = {});  // what SIGHUP asks for
  Result<std::vector<std::string>> Reload();    // what needs a new process
  void LookAtTls(bool again);
  Status SetLogLevel(log::Level level);
  Status SetLimit(const std::string& option, const std::string& value);
  static void OnFirstProbesOver(evutil_socket_t, short, void* self);
  static void OnTlsLook(evutil_socket_t, short, void* self);
  static void OnMemoryLook(evutil_socket_t, short, void* self);
  static void OnServiceTick(evutil_socket_t, short, void* self);
  static void OnSignal(evutil_socket_t number, short, void* self);
  event* Every(timeval interval, event_callback_fn callback);

  // daemon_end.cc
  void OnTerm();
  void Drain();
  void EndDrainIn(Millis most);
  void Stop();
  void HandOver(Actions::Answer answer = {});
  void HandOverAdmin();
  void OnSuccessor(const std::string& failed);
  static void OnDelayOver(evutil_socket_t, short, void* self);
  static void OnIdleLook(evutil_socket_t, short, void* self);
  static void OnDrainOver(evutil_socket_t, short, void* self);

  Origin origin_;
  std::shared_ptr<const Settings> configured_;
  ByHand by_hand_;
  std::shared_ptr<const Settings> settings_;  // of both
  std::shared_ptr<const Module> module_;
  Background& background_;
  Service& service_;
  event_base* base_;
  std::unique_ptr<StateStore> state_;
  std::unique_ptr<Proxy> proxy_;
  std::unique_ptr<Prober> prober_;        // this and the next only after the workers have ended
  std::unique_ptr<Explainer> explainer_;  // are destroyed: they post to them
  std::unique_ptr<MapWatcher> watcher_;
  std::unique_ptr<StatisticsServer> statistics_, control_;  // -m, --control
  std::unique_ptr<Successor> successor_;                    // is being started
  Actions::Answer upgraded_;                                // waits for it
  Pidfile pidfile_;
  std::vector<event*> events_;
  std::shared_ptr<const TlsContexts> tls_;
  TlsFilesStamp tls_stamp_;
  Status tls_status_ = Ok();  // of the last look at the files
  event* first_probes_ = nullptr;
  event* drain_over_ = nullptr;
  uint64_t started_ = NowMillis();
  uint64_t tell_at_ = 0, tell_every_ = 0;  // the progress of the drain, ms; the first monotonic
  Status result_ = Ok();
  bool shared_;               // another process lives by the sockets: their files are left alone
  bool memory_full_ = false;  // --max-memory is reached
  bool serving_ = false;
  bool draining_ = false;     // it is going to end
  bool handed_over_ = false;  // another process has taken over
  bool cut_ = false;          // the time for draining is over
};

}  // namespace rum
