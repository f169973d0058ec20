// One client and its server, from accept to close: a dialogue that the module leads, then the
// relay, of one way first if the module wants to see the other. Only a session and its dialogue
// call the module's session hooks; the host calls of rum/module.h end up in these two.
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
#include "proxy/relay.h"
#include "rum/module.h"

struct rum_session {};  // what modules hold; always a Session

namespace rum {

class Dialogue;
class Listener;
class ModuleConfig;
class Worker;
struct Probe;
struct ProxyEnds;
struct SessionEntry;
struct SessionFilter;

struct DeleteDialogue {
  void operator()(Dialogue* dialogue) const;
};

// What a PROXY header has changed.
struct ProxiedAddress {
  SocketAddress peer;         // who is really connected
  SocketAddress destination;  // where the client went, as the header has it
};

// What is told of a session in its log line. Written during the dialogue, then only read.
struct SessionRecord {
  std::string user;
  std::unique_ptr<const ProxiedAddress> proxied;  // nullptr: the client is the peer
  uint64_t connect_micros = 0;
  uint32_t login_failures = 0;  // a change of the user may fail, and more than once
  bool identified = false;
  std::vector<std::pair<std::string, std::string>> notes;
};

class Session final : public rum_session, private Loop::Watcher {
 public:
  // How often it is looked at within --idle-timeout and --half-close-timeout.
  static constexpr int kLooks = 4;

  // [worker] Begins a session for an accepted, non-blocking socket. It destroys itself.
  static void Open(Worker& worker, Listener& listener, Fd client, const SocketAddress& address);
  // [worker] Begins a session without a client, for which the module must have a hook.
  static void OpenProbe(Worker& worker, Probe probe);
  ~Session();
  Session(const Session&) = delete;

  uint64_t id() const { return id_; }
  Worker& worker() { return worker_; }
  bool probing() const { return probe_ != nullptr; }

  // [worker] For the list of sessions; not for probes.
  bool Matches(const SessionFilter& filter) const;
  SessionEntry Describe() const;

  // [worker] The host calls of rum/module.h that a session serves at any time.
  int32_t Send(uint32_t side, const void* data, size_t size);
  int32_t TlsModeOf(uint32_t side) const;
  int32_t TlsActive(uint32_t side) const;
  int32_t TlsFingerprint(uint8_t* digest) const;
  int32_t TlsEndIsCut(uint32_t which);
  void LoginFailed();
  bool Blocked() const;
  void CancelTimer(uint64_t ticket);
  std::string Peer(uint32_t side) const;
  int32_t Note(const char* key, const void* value, size_t size);
  int32_t PutShared(std::string_view key, std::string_view value, uint64_t lifetime);
  // The dialogue, which serves all others; nullptr: the module may ask for nothing more.
  Dialogue* asking() const;

  // [worker] What happens to a session from outside; each may destroy it at the end of the turn.
  void OnResolved(std::vector<SocketAddress> addresses);  // the connector's name has an answer
  void OnResumed(uint64_t ticket, int32_t status, void* payload, void (*drop)(void* payload));
  void OnSettled();
  void OnLoginDeadline();
  void OnPhaseDeadline();  // of the PROXY header, connecting, or the server's first byte
  void OnIdleDeadline();
  void OnHalfCloseDeadline();
  void OnLingerDeadline();
  void OnMoreToMove();  // the worker calls back after Moved::kSome
  void End(uint32_t reason, std::string_view text = {});  // rum itself ends it: drain, kill
  // The worker has new settings: they may count what the old ones did not, and have timeouts where
  // there were none.
  void Recount();
  void Rearm();

  // [worker] For its dialogue and the dialogue's connector, and for nobody else: what they use of
  // the session because it outlives them.
  Side& side(uint32_t which) { return sides_[which]; }
  Flow& flow(uint32_t from) { return flows_[from]; }
  const ModuleConfig& config() const { return *config_; }
  const SocketAddress& address() const { return address_; }
  SessionRecord& record() { return record_; }
  Probe* probe() { return probe_.get(); }
  UserLimits::Lease& user_place() { return lease_; }
  NamedLimiter::Lease& server_place() { return load_; }
  bool logged_in() const { return logged_in_; }

  // [worker] For the same two: what they ask of the session.
  void Converse();  // something may be due; call it last, because it may destroy the dialogue
  void ComesFrom(const ProxyEnds& ends);  // the PROXY header says so
  void BeginWatch();                      // one way flows unseen
  void EndWatch();                        // it was taken back
  bool AttachUpstream(Fd fd, bool local);
  void QueueFor(uint32_t side, const void* bytes, size_t size);
  bool MoveFrom(uint32_t side, uint64_t most);  // true: there is more than a turn's share
  bool Turning() const { return sides_[0].turning() || sides_[1].turning(); }
  HookPlace& hook_place() const;  // the worker's
  // Calls a hook of this session.
  template <class R, class... P, class... A>
  R Call(Hook hook, R (*function)(void*, rum_session*, P...), A... arguments) {
    InHook in(hook_place(), hook, id_);
    return function(data_, this, arguments...);
  }
  // A line for those who follow this session through its states.
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
    kDialogue,  // owns dialogue_; the module sees the bytes; leaves by relay(), relay_from(), an
                // end
    kWatch,     // owns dialogue_; one way flows, the module sees the other; leaves by relay(),
                // take_back(), or an end
    kRelay,     // dialogue_ is gone; bytes flow; leaves when both ways have ended, or one broke
    kClosing,  // the module is gone; what waits is flushed, what comes is dropped; linger bounds it
    kDead,     // in the graveyard until the turn ends
  };

  enum class Looks : uint8_t { kSettled, kIdle, kHalfClosed };  // the list that has deadline_

  Session(Worker& worker, Listener* listener, const SocketAddress& address);
  void OnReady(uint32_t side, uint32_t what) override;

  // The beginning: session_open.cc.
  void Welcome();          // the client's address is known
  bool RefuseIfLimited();  // true: it has been refused, and the session ends
  void Refuse(uint32_t reason, std::string_view detail);

  // Dialogue and watch.
  bool MoveWatch();
  void CloseDialogue();

  // The relay.
  void StartRelay();
  void MoveBoth(bool from_client, bool from_upstream);
  void JudgeRelay();
  void LoseClientInRelay();
  void ArmLooks();
  Looks LooksFor() const;
  uint64_t Moved() const;
  bool Silent();
  void LoggedIn();

  // The end.
  void Finish(uint32_t reason, std::string_view text);
  void EndShared();
  bool HasLogLine(uint32_t reason) const;
  void ReportToProber(uint32_t reason, std::string_view text);
  void Linger();
  void Die();

  // The module looks on.
  bool hooked() const { return state_ == State::kDialogue || state_ == State::kWatch; }
  static uint32_t Other(uint32_t which) { return 1 - which; }
  // Empty: none was tried yet, or the session is closing.
  std::string_view destination() const;

  Worker& worker_;
  Listener* listener_;  // nullptr: a probe, which has no client
  uint64_t id_;
  uint64_t opened_;          // monotonic microseconds
  uint64_t seen_bytes_ = 0;  // at the last look of a deadline
  Side sides_[2];
  Flow flows_[2];      // [RUM_CLIENT]: from the client; [RUM_UPSTREAM]: from the upstream
  Deadline deadline_;  // once logged in: settled, idle or half-close; closing: linger
  std::unique_ptr<Dialogue, DeleteDialogue> dialogue_;
  SessionRecord record_;
  std::unique_ptr<Probe> probe_;  // nullptr: a client's session
  std::shared_ptr<const ModuleConfig> config_;
  void* data_ = nullptr;  // the module's
  SocketAddress address_;
  AccessControl::Lease entry_;  // from the time when the client is accepted to the end
  UserLimits::Lease lease_;     // from confirm() to the end
  NamedLimiter::Lease load_;    // of the server, from the attempt to connect to the end
  State state_ = State::kDialogue;
  uint8_t ended_first_ = 0;  // relay, watch: 1 + the side whose end came first
  uint8_t silent_looks_ = 0;
  Looks looks_for_ = Looks::kSettled;  // once logged in
  bool module_open_ = false;           // session_open succeeded, session_close is owed
  bool shares_ = false;                // has put an entry that goes with it
  bool logged_in_ = false;  // counted as relaying, from the first time that a way flowed unseen
};

}  // namespace rum
