// One thread with its loop, its sessions, and everything that they share without locks.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <random>
#include <thread>
#include <unordered_map>
#include <vector>

#include "base/address.h"
#include "base/fd.h"
#include "base/result.h"
#include "module/hook.h"
#include "net/loop.h"
#include "net/pipes.h"
#include "proxy/counters.h"
#include "proxy/deadlines.h"
#include "proxy/freelist.h"
#include "proxy/kept_connections.h"
#include "proxy/server_counters.h"
#include "proxy/session_list.h"
#include "proxy/worker_calls.h"

struct rum_worker {};  // what modules hold; always a Worker

namespace rum {

class GeoDatabase;
class Listener;
class MapFile;
class ModuleConfig;
class Proxy;
struct Probe;
struct Settings;
struct TlsContexts;

class Worker final : public rum_worker, private Loop::Watcher {
  Loop loop_;  // destroyed last: other members have timers in it

 public:
  static constexpr size_t kBufferSize = 64 * 1024;
  static constexpr size_t kRefusalMost = 512;

  Worker(Proxy& proxy, unsigned index);
  ~Worker();
  Worker(const Worker&) = delete;

  // [main] Starts the thread, after the module's worker_start ran on it; Join() waits for its end.
  Status Start();
  void Join();
  // [main] Waits at most this long. False: it has not ended, as it is stuck in a hook.
  bool EndsBy(std::chrono::steady_clock::time_point time) const;

  // [any] Runs `task` on this worker, soon; tasks run in the order of their arrival. False: the
  // worker has ended, and the task will not run.
  bool Post(std::function<void()> task);

  // [worker] A listener has accepted this socket for this worker.
  void Adopt(Listener& listener, Fd client, const SocketAddress& address);
  // [worker] Starts a probe that is already counted in `load`.
  void BeginProbe(Probe probe);
  // [any] Answers a probe that is counted in `load` but cannot start: the worker drains.
  void RefuseProbe(Probe probe);
  // [worker] Refuses a client with the module's text for `reason`.
  void Refuse(Fd client, uint32_t reason);
  // [worker] Gets that text; returns its size, at most kRefusalMost bytes.
  size_t WriteRefusal(uint32_t reason, uint8_t* words);
  bool draining() const { return draining_; }
  // [worker] Starts no more sessions; the worker ends with the last one.
  void Drain();
  // [worker] Ends every session.
  void EndSessions(uint32_t reason);

  // [worker] Lists the sessions in slices, one list at a time: session_list.cc.
  void BeginList(std::shared_ptr<SessionLister::Request> request);

  // [worker] Applies new settings and a new configuration of the module; existing sessions keep
  // theirs, except for the timeouts.
  void Reload(std::shared_ptr<const Settings> settings, std::shared_ptr<const ModuleConfig> config);

  // [worker] Ends every session and the loop, without waiting for last words to arrive.
  void Stop();

  // [worker] The default destinations in the order to try for this client; empty: there are none.
  std::vector<Address> DefaultDestinations(const SocketAddress& client);

  // [worker] Tickets: for answers that may arrive after the session has ended.
  uint64_t NewTicketNumber() { return (uint64_t{index_} << 48) | ++last_ticket_; }
  uint64_t TakeTicket(Session& session);
  Session* Redeem(uint64_t ticket);  // nullptr: ended, or already used
  void DropTicket(uint64_t ticket) { tickets_.erase(ticket); }
  size_t tickets() const { return tickets_.size(); }
  static unsigned WorkerOf(uint64_t ticket) { return static_cast<unsigned>(ticket >> 48); }

  // [worker] The session has more to move than its share of this turn.
  void CallBack(Session& session);
  void ForgetCallBack(Session& session);

  void Enlist(Session& session);
  void Bury(std::unique_ptr<Session> session);  // destroyed at the end of the turn

  // [worker] One turn of the loop, which waits at most this long; then destroys what has ended in
  // it.
  void Turn(Millis most);

  Loop& loop() { return loop_; }
  uint8_t* buffer() { return buffer_.get(); }
  Proxy& proxy() { return proxy_; }
  unsigned index() const { return index_; }
  const Settings& settings() const { return *settings_; }
  void* module_data() { return module_data_; }
  const std::shared_ptr<const ModuleConfig>& module_config() const { return module_config_; }
  const std::shared_ptr<const MapFile>& map() const { return map_; }
  void set_map(std::shared_ptr<const MapFile> map);
  const GeoDatabase* geo() const { return geo_.get(); }  // nullptr: no --geo-db
  void set_geo(std::shared_ptr<const GeoDatabase> geo) { geo_ = std::move(geo); }
  const std::shared_ptr<const TlsContexts>& tls() const { return tls_; }
  void set_tls(std::shared_ptr<const TlsContexts> tls) {
    tls_ = std::move(tls);
    kept.NextGeneration();
  }
  // Ids of one process differ, since the workers take turns; see Proxy::StartIdsAbove().
  uint64_t NextSessionId() {
    ids_given.Add(1);
    return ids_given.get() * workers_ + index_;
  }

  // [worker] The current address of --source-address; moves on when its ports are used up.
  size_t source = 0;

  // [any] Connections given to this worker that have not ended; the accepting thread balances by
  // it.
  std::atomic<uint32_t> load = 0;
  // [any] Stuck in a hook (hook_watch.h): gets no new clients. Only the main thread writes.
  std::atomic<bool> stuck = false;
  HookPlace hook_place;

  WorkerCalls module_calls{*this};
  Counters counters;
  Counter ids_given;
  WorkerServers servers;
  Pipes pipes;
  Freelist dialogues;
  KeptConnections kept{*this};

  // Deadlines that sessions share; see options of the same names.
  std::unique_ptr<Deadlines> login, connecting, first_byte, idle, half_close, linger, settled,
      retry, probe, header, parted, refused;

 private:
  void RunTasks();
  void Retire();
  void GoOnListing(std::shared_ptr<SessionLister::Request> request);
  void Sweep();
  void OnReady(uint32_t, uint32_t) override;  // a task was posted
  static void OnCallBacks(void* self);

  Proxy& proxy_;
  const unsigned index_, workers_;  // and how many there are
  bool stopped_ = false;            // the loop ends with this turn
  std::unique_ptr<uint8_t[]> buffer_;
  std::shared_ptr<const Settings> settings_;
  std::shared_ptr<const ModuleConfig> module_config_;
  std::shared_ptr<const MapFile> map_;
  std::shared_ptr<const GeoDatabase> geo_;
  std::shared_ptr<const TlsContexts> tls_;
  void* module_data_ = nullptr;
  uint64_t last_ticket_ = 0;
  std::unordered_map<uint64_t, Session*> tickets_;
  Session* sessions_ = nullptr;
  Session* list_next_ = nullptr;  // the next one to be listed
  bool draining_ = false;
  std::minstd_rand random_{std::random_device{}()};

  std::vector<Session*> call_backs_;
  Loop::Timer call_back_timer_{loop_, OnCallBacks, this};
  std::vector<std::unique_ptr<Session>> graveyard_;

  std::mutex mutex_;  // guards the next two
  bool over_ = false;
  std::vector<std::function<void()>> posted_;
  Fd wake_;
  Loop::Ticket wake_ticket_ = 0;
  std::thread thread_;
  std::future<void> ended_;  // of the thread
};

}  // namespace rum
