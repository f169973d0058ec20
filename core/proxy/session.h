// One client and its server, from accept to close: a dialogue that the module leads, then the
// relay, of one way first if the module wants to see the other. The only caller of the module's
// session hooks; the host calls of rum/module.h end up here.
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
#include "net/loop.h"
#include "net/side.h"
#include "proxy/deadlines.h"
#include "proxy/relay.h"
#include "rum/module.h"

struct rum_session {};  // what modules hold; always a Session

namespace rum {

class Listener;
class ModuleConfig;
class Worker;
struct Dialogue;
struct Probe;
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

  // [worker] The host calls; rum/module.h says what they promise.
  int32_t Send(uint32_t side, const void* data, size_t size);
  int32_t Need(uint32_t side, size_t size);
  int32_t Forward(uint32_t from, uint64_t size);
  int32_t AskRelay();
  int32_t AskRelayFrom(uint32_t side);
  int32_t AskTakeBack(uint32_t side);
  int32_t AskLookup(const void* key, size_t size);
  int32_t Identify(const void* user, size_t size);
  int32_t AskConnect(const char* address, size_t size);
  int32_t StartTls(uint32_t side, const char* server_name, size_t size);
  int32_t TlsModeOf(uint32_t side) const;
  int32_t TlsActive(uint32_t side) const;
  int32_t TlsFingerprint(uint8_t* digest) const;
  int32_t TlsEndIsCut(uint32_t which);
  int32_t Admit(const void* record, size_t size);
  void LoginFailed();
  bool Blocked() const;
  int32_t TryLogin();
  int32_t Confirm();
  uint64_t Pause();
  uint64_t AddTimer(uint64_t microseconds);
  void CancelTimer(uint64_t ticket);
  std::string Peer(uint32_t side) const;
  int32_t Note(const char* key, const void* value, size_t size);
  void AskClose(uint32_t reason, std::string_view text);

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

  // The worker's list of sessions.
  Session* prev = nullptr;
  Session* next = nullptr;

 private:
  friend class Connector;
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
  static void OnModuleTimer(void* timer);

  // The PROXY headers: session_header.cc.
  bool ReadHeader();
  void SendHeader();

  // The beginning: session_open.cc.
  void Welcome();          // the client's address is known
  bool RefuseIfLimited();  // the client may not come in; it has been told, and the session ends
  void Refuse(uint32_t reason, std::string_view detail);

  // The dialogue.
  void Converse();
  bool Step();  // does one thing that is due; false: nothing is
  bool FindReset();
  bool DeliverOutcome();
  bool DeliverLookup();
  bool Deliver(uint32_t side);  // bytes to the module, or past it
  bool DeliverEnd(uint32_t side);
  void LoseClient();
  bool AdvanceTls(uint32_t side);
  void TlsDone(uint32_t side, bool done);
  void LeaveServer(uint32_t reason, std::string error);
  bool Fill(uint32_t side);  // socket -> window
  void ConnectDone(uint32_t reason, std::string_view detail, const Address& destination);
  void CloseDialogue();

  // The watch: session_watch.cc.
  void HandOver();  // serves relay_from() and take_back()
  bool MoveWatch();
  bool Unread(uint32_t side) const;  // it is not read on purpose

  // The relay.
  void StartRelay();
  void MoveBoth(bool from_client, bool from_upstream);
  bool MoveFrom(uint32_t side, uint64_t most);
  void JudgeRelay();
  bool Turning() const { return sides_[0].turning() || sides_[1].turning(); }
  void LoseClientInRelay();
  void ArmLooks();
  Looks LooksFor() const;
  uint64_t Moved() const;
  bool Silent();
  void LoggedIn();
  bool ConfirmAtLast();
  void EndProof(uint32_t reason);

  // The end.
  void Finish(uint32_t reason, std::string_view text);
  void ReportToProber(uint32_t reason, std::string_view text);
  void Linger();
  void Die();

  // The module may still ask for something: it looks on, and has not closed.
  bool asking() const;
  bool hooked() const { return state_ == State::kDialogue || state_ == State::kWatch; }
  void QueueFor(uint32_t side, const void* bytes, size_t size);
  void ServerIsThere();  // it has shown that it is well
  // A line for those who follow this session through its states.
  template <class... T>
  void Trace(fmt::format_string<T...> format, T&&... values) {
    if (!log::Enabled(log::Level::kDebug)) return;
    log::Debug("session {}: {}", id_, fmt::format(format, std::forward<T>(values)...));
  }
  Side& side(uint32_t which) { return sides_[which]; }
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
  AccessControl::Lease entry_;  // from the time when the client may come in to the end
  UserLimits::Lease lease_;     // from confirm() to the end
  NamedLimiter::Lease load_;    // of the server, from the attempt to connect to the end
  State state_ = State::kDialogue;
  uint8_t ended_first_ = 0;  // relay, watch: 1 + the side whose end came first
  uint8_t silent_looks_ = 0;
  Looks looks_for_ = Looks::kSettled;  // once logged in
  bool module_open_ = false;           // session_open succeeded, session_close is owed
  bool logged_in_ = false;  // counted as relaying, from the first time that a way flowed unseen
};

}  // namespace rum
