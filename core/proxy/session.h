// One client and its server, from accept to close: a dialogue led by the module, then the relay; of
// only one direction first, if the module wants to see the other. Only a session and its dialogue
// call the module's session hooks and serve the host calls of rum/module.h.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/address.h"
#include "base/fd.h"
#include "base/log.h"
#include "limits/access_control.h"
#include "limits/user_limits.h"
#include "module/hook.h"
#include "net/loop.h"
#include "net/side.h"
#include "proxy/deadlines.h"
#include "proxy/kept_connections.h"
#include "proxy/relay.h"
#include "rum/module.h"

struct rum_session {};  // what modules hold; always a Session

namespace rum {

class Dialogue;
class Listener;
class MapFile;
class ModuleConfig;
class Worker;
struct ServerCounters;
struct Probe;
struct RemoteAnswer;
struct SharedAnswer;
struct ProxyEnds;
struct SessionEntry;
struct SessionFilter;

struct DeleteDialogue {
  void operator()(Dialogue* dialogue) const;
};

// The addresses, as a PROXY header has changed them.
struct ProxiedAddress {
  SocketAddress peer;         // the connected peer
  SocketAddress destination;  // the client's destination in the header
};

// The session's data for its log line. Written during the dialogue, then only read.
struct SessionRecord {
  std::string user;
  std::unique_ptr<const ProxiedAddress> proxied;  // nullptr: the peer is the client
  // Times up to an hour, so that they need no more memory.
  uint32_t connect_micros = 0;
  uint32_t login_micros = 0;    // 0: the login was not completed
  uint32_t login_failures = 0;  // more than one if changes of user fail, too
  bool identified = false;
  bool no_login = false;  // the module called no_login()
  bool disabled = false;  // admit() has refused a disabled user, and the module has not reported it
  std::vector<std::pair<std::string, std::string>> notes;
};

class Session final : public rum_session, private Loop::Watcher {
 public:
  // Checks per --idle-timeout and --half-close-timeout.
  static constexpr int kLooks = 4;

  // [worker] Starts a session on an accepted, non-blocking socket. It destroys itself. `drains`:
  // the worker takes no more clients, and refuses it.
  static void Open(Worker& worker, Listener& listener, Fd client, const SocketAddress& address,
                   bool drains);
  // [worker] Starts a session without a client; the module must have the hook.
  static void OpenProbe(Worker& worker, Probe probe);
  ~Session();
  Session(const Session&) = delete;

  uint64_t id() const { return id_; }
  Worker& worker() { return worker_; }
  bool probing() const { return probe_ != nullptr; }
  bool refused() const { return refused_ != 0; }  // and led to the module's last word

  // [worker] For the list of sessions; not for probes.
  bool Matches(const SessionFilter& filter) const;
  SessionEntry Describe() const;
  bool held() const;  // by a pause
  // For --map-moved: whether the map sends its user elsewhere now; and whether such a session may
  // end as it is idle.
  bool HasMoved(const MapFile& map) const;
  bool IdleForMoving();

  // [worker] The host calls of rum/module.h that a session serves at any time.
  int32_t Send(uint32_t side, const void* data, size_t size);
  int32_t TlsModeOf(uint32_t side) const;
  int32_t TlsActive(uint32_t side) const;
  int32_t TlsFingerprint(uint8_t* digest) const;
  int32_t TlsEndIsCut(uint32_t which);
  enum class TlsFactOf : uint8_t { kAlpn, kOfferedAlpn, kServerName, kCertificate, kEndPoint };
  int32_t TlsFact(TlsFactOf fact, uint32_t side, void* to, size_t* size) const;
  int32_t TlsVersion(uint32_t side) const;
  void LoginFailed();
  bool Blocked() const;
  void CancelTimer(uint64_t ticket);
  std::string Peer(uint32_t side) const;
  int32_t Destination(char* text, size_t* size) const;
  int32_t Note(const char* key, const void* value, size_t size);
  int32_t PutShared(std::string_view key, std::string_view value, uint64_t lifetime);
  int32_t RemoveShared(std::string_view key);
  uint64_t Waiting(uint32_t which) const { return side(which).waiting(); }
  // Serves all other calls; nullptr: the module can request nothing more.
  Dialogue* asking() const;

  // [worker] Events; each may destroy the session at the end of the turn.
  void OnResolved(std::vector<SocketAddress> addresses);  // the addresses of the connector's name
  void OnResumed(uint64_t ticket, int32_t status, void* payload, void (*drop)(void* payload));
  void OnLookedUp(RemoteAnswer answer);
  void OnSharedFound(SharedAnswer answer);
  void OnPauseEnded();  // of new logins of its user or server
  void OnSettled();
  void OnLoginDeadline();
  void OnPhaseDeadline();  // for the PROXY header, connecting, or the server's first byte
  void OnIdleDeadline();
  void OnHalfCloseDeadline();
  void OnLingerDeadline();
  void OnPartedDeadline();
  void OnMoreToMove();  // the worker calls back after Moved::kSome
  void End(uint32_t reason, std::string_view text = {});  // by rum itself: drain, kill
  // Applies the worker's new settings: they may count what the old ones did not, and may add
  // timeouts.
  void Recount();
  void Rearm();

  // [worker] Only for its dialogue and the dialogue's connector: parts of the session that they
  // use, as it outlives them.
  Side& side(uint32_t which) { return sides_[which]; }
  const Side& side(uint32_t which) const { return sides_[which]; }
  Flow& flow(uint32_t from) { return flows_[from]; }
  const ModuleConfig& config() const { return *config_; }
  const SocketAddress& address() const { return address_; }
  SessionRecord& record() { return record_; }
  Probe* probe() { return probe_.get(); }
  UserLimits::Lease& user_place() { return lease_; }
  NamedLimiter::Lease& server_place() { return load_; }
  bool logged_in() const { return logged_in_; }
  bool relaying() const { return relaying_; }
  uint64_t opened() const { return opened_; }                   // monotonic microseconds
  void Remember(std::string_view key, std::string_view value);  // what the map has said
  // From now on it counts for this server (WorkerServers::Find); 0: for none.
  void CountFor(uint16_t place) { counted_for_ = place; }
  ServerCounters& server_counters() const;

  // [worker] For the same two: requests to the session.
  void Converse();  // something may be due; call it last, because it may destroy the dialogue
  void ComesFrom(const ProxyEnds& ends);  // as in the PROXY header
  void BeginWatch();                      // one direction is relayed
  void EndWatch();                        // it was taken back
  bool AttachUpstream(Fd fd, bool local, bool connecting);
  bool TakeUpstream(const std::string& server, const std::string& key,
                    KeptConnections::Label* label);
  void Part();  // the client has gone, as far as it and others can tell
  bool MoveUntil(uint32_t side, std::string_view tail, Buffer* held);
  bool parted() const { return parted_; }
  void QueueFor(uint32_t side, const void* bytes, size_t size);
  // What keeps the last bytes of this side; nullptr: nobody asks for them.
  LastBytes* LastBytesOf(uint32_t which);
  // Bytes of this side were read.
  void Spoke(uint32_t which) {
    if (which == RUM_UPSTREAM) answered_ = static_cast<uint32_t>(side(RUM_CLIENT).received());
  }
  bool MoveFrom(uint32_t side, uint64_t most);  // true: more than a turn's share is left
  bool Turning() const { return sides_[0].turning() || sides_[1].turning(); }
  HookPlace& hook_place() const;  // the worker's
  // Calls a hook of this session.
  template <class R, class... P, class... A>
  R Call(Hook hook, R (*function)(void*, rum_session*, P...), A... arguments) {
    InHook in(hook_place(), hook, id_);
    return function(data_, this, arguments...);
  }
  // Logs a debug message about this session.
  template <class... T>
  void Trace(fmt::format_string<T...> format, T&&... values) {
    if (!log::Enabled(log::Level::kDebug)) return;
    log::Debug("session {}: {}", id_, fmt::format(format, std::forward<T>(values)...));
  }

  // The worker's list of sessions.
  Session* prev = nullptr;
  Session* next = nullptr;

 private:
  enum class State : uint8_t {
    kDialogue,  // owns dialogue_; the module sees all bytes; leaves by relay(), relay_from(), an
                // end
    kWatch,     // owns dialogue_; one direction is relayed, the module sees the other; leaves by
                // relay(), take_back(), or an end
    kRelay,     // no dialogue_; leaves when both directions have ended, or one broke
    kClosing,   // no module; flushes output and drops input; bounded by linger
    kDead,      // destroyed at the end of the turn
  };

  // The list of deadline_; kNoLogin: that of logins.
  enum class Looks : uint8_t { kSettled, kIdle, kHalfClosed, kNoLogin };

  Session(Worker& worker, Listener* listener, const SocketAddress& address);
  void OnReady(uint32_t side, uint32_t what) override;

  // The beginning: session_open.cc.
  void Welcome();          // the client's address is known
  bool RefuseIfLimited();  // true: it was refused, and the session ends
  void Refuse(uint32_t reason, std::string_view detail);
  bool LeadOut(uint32_t reason, std::string_view detail);

  // Dialogue and watch.
  bool MoveWatch();
  void CloseDialogue();

  // The relay.
  void StartRelay();
  void MoveBoth(bool from_client, bool from_upstream);
  void JudgeRelay();
  void LoseClientInRelay();
  void LoseUpstreamInRelay();
  uint32_t Unanswered() const {
    return static_cast<uint32_t>(side(RUM_CLIENT).received()) - answered_;
  }
  bool HasTakenLeave() const;
  bool ServerOwesNothing() const;
  void ArmLooks();
  Looks LooksFor() const;
  uint64_t Moved() const;
  bool Silent();
  // `connected`: monotonic microseconds; 0: no server was connected.
  void BeginRelaying(uint64_t connected);
  void LoggedIn(uint64_t connected);

  // The end.
  void Finish(uint32_t reason, std::string_view text);
  void CountEnd(uint32_t reason);
  void CountBytes(uint32_t from, uint64_t moved);
  void EndShared();
  void EndLeases(uint32_t reason);
  void ReportEnd(const std::string& server, uint32_t reason, std::string_view text);
  bool HasLogLine(uint32_t reason) const;
  void ReportToProber(uint32_t reason, std::string_view text);
  void Linger();
  void Die();

  // For the module.
  const TlsStream* OpenTls(uint32_t side) const;
  bool hooked() const { return state_ == State::kDialogue || state_ == State::kWatch; }
  static uint32_t Other(uint32_t which) { return 1 - which; }
  // Empty: none was tried yet, or the session is closing.
  std::string_view destination() const;

  // Which record of the map led it to its server, for --map-moved.
  struct Found {
    std::string key;
    uint64_t destination = 0;       // its hash
    uint64_t bytes = 0, since = 0;  // how many it had moved, and when (ms) that was first seen
  };

  Worker& worker_;
  Listener* listener_;  // nullptr: a probe, which has no client
  uint64_t id_;
  uint64_t opened_;          // monotonic microseconds
  uint64_t seen_bytes_ = 0;  // at the last check of a deadline
  Side sides_[2];
  Flow flows_[2];      // [RUM_CLIENT]: from the client; [RUM_UPSTREAM]: from the upstream
  Deadline deadline_;  // in the relay: settled, idle or half-close; closing: linger
  std::shared_ptr<const ModuleConfig> config_;
  std::unique_ptr<Dialogue, DeleteDialogue> dialogue_;  // uses what is above
  SessionRecord record_;
  std::unique_ptr<Found> found_;  // nullptr: none, or --map-moved keep
  std::unique_ptr<Probe> probe_;  // nullptr: a client's session
  void* data_ = nullptr;          // the module's
  SocketAddress address_;
  AccessControl::Lease entry_;  // from the client's acceptance to the end
  UserLimits::Lease lease_;     // from confirm() to the end
  NamedLimiter::Lease load_;    // of the server, from the connection attempt to the end
  State state_ = State::kDialogue;
  uint8_t refused_ = 0;      // the reason, if the module leads a refused client
  bool drains_ = false;      // the worker did when the client arrived
  uint8_t ended_first_ = 0;  // relay, watch: 1 + the side that ended first
  uint8_t silent_looks_ = 0;
  Looks looks_for_ = Looks::kSettled;  // in the relay
  bool module_open_ : 1 = false;       // session_open succeeded: session_close must be called
  bool parted_ : 1 = false;            // its end was reported; the module goes on with the server
  bool shares_ : 1 = false;            // has put an entry that ends with it
  bool relaying_ : 1 = false;          // counted as relaying, since a direction was first relayed
  bool logged_in_ : 1 = false;         // likewise, unless the module called no_login()
  bool client_left_ : 1 = false;  // its end had arrived before that of the server was passed on
  uint16_t counted_for_ = 0;      // place of the server in the worker's counters
  uint32_t answered_ = 0;         // bytes of the client before the server's last ones, modulo 2^32
  LastBytes last_;                // of the client, if the module names a farewell
};

}  // namespace rum
