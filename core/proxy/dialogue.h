// A session until its relay: the module sees the bytes and decides about them. Owns what is needed
// only until then: windows, the module's requests and timers, the connector, deadlines.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "limits/admission.h"
#include "lookup/record_cache.h"
#include "map/map_file.h"
#include "net/buffer.h"
#include "net/loop.h"
#include "net/side.h"
#include "proxy/connector.h"
#include "proxy/deadlines.h"
#include "proxy/kept_connections.h"
#include "proxy/login_pauses.h"
#include "rum/module.h"
#include "share/shared_answer.h"

namespace rum {

class MapWalk;
class Session;
class Worker;
struct Probe;

class Dialogue {
 public:
  // What the session must do when Proceed() returns. A dialogue neither ends its session nor begins
  // the relay, so none of its own calls destroys it.
  enum class Next : uint8_t {
    kWait,     // nothing is due until the next event; in a watch, bytes may move
    kWelcome,  // the client's address is known: admit it, and start the module
    kRelay,    // take PassOn(), then relay both ways
    kClose,    // end with close_reason() and close_text()
  };
  // Result of MoveWatch().
  struct Moved {
    bool more;  // more than a turn's share is left
    bool due;   // something may be due for the module again
  };

  // Allocated from the worker's freelist; DeleteDialogue returns it there.
  static Dialogue* New(Session& session, Worker& worker);
  Dialogue(const Dialogue&) = delete;

  // [worker] How a session begins: each at most once, before the first Proceed().
  void BeginClient(bool tls, bool header);  // TLS first, or a PROXY header first
  void BeginProbe(const Probe& probe);      // connects to its destination, if it has one
  // After BeginClient(): other bounds apply from now on. `why`, for the log, is a constant.
  void BeginRefusal(std::string_view why);

  // [worker] Performs what is due, one step at a time: a hook of the module, or one of its
  // requests.
  [[nodiscard]] Next Proceed();
  // Writes what waits for the sides. True: something may be due again.
  bool Flush();
  // A side that the module awaits has drained: call OnTurn() in another turn.
  bool drained() const { return awaits_ && (Drained(RUM_CLIENT) || Drained(RUM_UPSTREAM)); }
  void OnTurn() { turn_ = awaits_ != 0; }
  // In a watch: moves the relayed bytes, and those that the module let through.
  Moved MoveWatch();

  // [worker] Events passed on by the session; Proceed() handles their effects.
  void OnReady(uint32_t side, uint32_t what);  // `what` as in the loop
  void OnResolved(std::vector<SocketAddress> addresses) {
    connector_.OnResolved(std::move(addresses));
  }
  void OnResumed(uint64_t ticket, int32_t status, void* payload, void (*drop)(void* payload));
  void OnLookedUp(RemoteAnswer answer);
  void OnSharedFound(SharedAnswer answer);
  void OnPhaseDeadline();  // for connecting, TLS with a server, or the server's first byte
  void OnAnswered();       // bytes were queued for the server, or it has sent some
  void OnLoggedIn() { connector_.LoggedIn(); }  // a direction is relayed for the first time
  void Rearm();                                 // the settings have changed, as in Session
  void Recount() { connector_.Recount(); }
  void OnPauseEnded();  // of a login that waits: session_move.cc

  // [worker] At the end, in this order: BlameServer(), the module's last hook, ReleaseLeases(), and
  // DropAnswers(). Before a relay: PassOn() and DropAnswers().
  // Closes the upstream's socket, which is not connected yet or was given up.
  void DropServer();
  void PassOn();                        // queues the rest of the windows
  void BlameServer(uint32_t reason);    // if the reason concerns the server
  void ReleaseLeases(uint32_t reason);  // before the client learns of the end and can return
  void DropAnswers();                   // of pauses; the module gets none anymore

  // [worker] Requests of the module by the host calls of rum/module.h, with valid arguments. They
  // are only stored; Proceed() performs them after the module's hook has returned. Only while
  // asking().
  bool asking() const { return close_reason_ == 0; }
  int32_t Need(uint32_t side, size_t size);
  int32_t Forward(uint32_t from, uint64_t size);
  int32_t Relay();
  int32_t RelayFrom(uint32_t side);
  int32_t TakeBack(uint32_t side);
  int32_t Lookup(std::string_view key);
  int32_t FindShared(std::string_view key);
  int32_t Identify(std::string_view user);
  int32_t Connect(std::string_view destinations);  // empty: the default ones
  int32_t StartTls(uint32_t side, std::string_view server_name);
  int32_t SetAlpn(uint32_t side, std::string_view list);
  int32_t Admit(std::string_view rules);
  int32_t TryLogin();
  int32_t Confirm();
  // Of the group "rum.keep/1": session_keep.cc.
  int32_t ForwardUntil(uint32_t from, std::string_view tail);
  int32_t Answered(uint32_t from) const;
  int32_t Part();
  int32_t Keep(KeptConnections::Label label, uint32_t most);
  int32_t Want(std::string_view key);
  int32_t Taken(void* value, size_t* size) const;
  int32_t Renew();
  int32_t Spend(std::string_view destinations, std::string_view key);
  int32_t DropKept();
  int32_t NoLogin();
  int32_t AwaitDrained(uint32_t side, uint64_t below);
  uint64_t Pause();
  uint64_t AddTimer(uint64_t microseconds);
  void CancelTimer(uint64_t ticket);  // also if no longer asking()
  void Close(uint32_t reason, std::string_view text);

  bool awaits_header() const { return header_; }
  bool held() const { return held_ != nullptr; }
  std::string_view refused_for() const { return refused_for_; }
  bool upstream_open() const { return upstream_open_; }
  bool holds(uint32_t side) const { return !windows_[side].bytes.empty(); }
  bool tls_asked(uint32_t side) const { return tls_[side].asked; }
  uint32_t close_reason() const { return close_reason_; }
  std::string_view close_text() const { return close_text_; }
  const Connector& connector() const { return connector_; }
  LoginGuard::Attempt* proof() { return &proof_; }

  // [worker] For its connector.
  void ArmPhase(Deadlines& deadlines) { deadlines.Arm(phase_, session_); }
  void DisarmPhase() { phase_.Disarm(); }
  // `reason`: 0, or why no server could be connected.
  void OnConnected(uint32_t reason, std::string_view detail, const Address& destination);
  // What the module wants, if it is kept: for the session's side of the server.
  bool TakeKept(const std::string& server, KeptConnections::Label* label);
  void OnTaken(const Address& destination, std::string value);

 private:
  friend struct DeleteDialogue;

  // Unconsumed bytes of one side.
  struct Window {
    Buffer bytes;
    size_t need = 0;            // call the hook only at this many bytes
    uint64_t forward = 0;       // bytes to pass on first, without the hook
    bool fresh = false;         // bytes arrived since the last hook
    bool end_reported = false;  // side_end was called
    size_t most() const;
  };
  struct Timer {
    Timer(Dialogue& dialogue, Loop& loop, uint64_t ticket);
    Loop::Timer timer;
    Dialogue& dialogue;
    uint64_t ticket;
  };
  // TLS of a side: requested, started, and who asked for it.
  struct TlsRequest {
    bool asked = false;
    bool begun = false;
    bool own = false;  // started by rum itself for tls:HOST:PORT: not reported to the module
    std::string name;
  };
  struct Resumed {
    uint64_t ticket;
    int32_t status;
    void* payload;
    void (*drop)(void* payload);
  };

  Dialogue(Session& session, Worker& worker);
  ~Dialogue();
  static void OnTimer(void* timer);

  bool ReadHeader();  // the PROXY headers: session_open.cc
  void SendHeader();
  bool Step();  // performs one thing that is due; false: nothing is
  bool StepModule();
  std::optional<bool> StepKeeping();
  std::optional<bool> Hold();
  std::optional<bool> Hold(std::string_view record);
  void LeavePause();
  bool LoseTaken();
  void GiveUpServer();
  Moved MoveUntil(uint32_t seen);
  std::string KeyOf(std::string_view key) const;
  void KeepAtLast();
  bool FindReset();
  bool DeliverOutcome();
  bool LookUp();
  bool LookUpRemotely();
  void DeliverLookup(MapFile::Answer answer, std::string_view value);
  void StepFinding();
  void DeliverShared();
  bool DeliverResumed();
  bool DeliverTimer();
  bool DeliverDrained();
  bool Drained(uint32_t side) const;
  bool Fill(uint32_t side);     // socket -> window
  bool Deliver(uint32_t side);  // bytes to the module, or past it
  bool ForwardWindow(uint32_t side);
  void JudgeConsumed(uint32_t side, int64_t consumed, size_t size);
  bool DeliverEnd(uint32_t side);
  void LoseClient();
  bool AdvanceTls(uint32_t side);
  void TlsDone(uint32_t side, bool done);
  void LeaveServer(uint32_t reason, std::string error);
  void HandOver();                   // performs relay_from() and take_back()
  bool Unread(uint32_t side) const;  // in a watch: not read on purpose
  bool ConfirmAtLast();
  void EndLoginDeadline();
  bool alone() const;  // there is a client, or a server, but never both
  void BeginConnect();
  // A connect() has no outcome yet that the module knows.
  bool connecting() const {
    return connect_ || connector_.active() || outcome_ ||
           (tls_[RUM_UPSTREAM].asked && !upstream_open_);
  }

  Side& side(uint32_t which) const { return sides_[which]; }
  const rum_module& module() const { return module_; }
  static uint32_t Other(uint32_t which) { return 1 - which; }

  Session& session_;
  Worker& worker_;
  Side* const sides_;         // the session's
  const rum_module& module_;  // the session's

  Window windows_[2];
  Connector connector_;
  Admission::Candidate candidate_;  // admitted, not yet confirmed
  LoginGuard::Attempt proof_;       // the password's proof, waiting or being checked
  Deadline login_;                  // from accept to relay
  Deadline phase_;                  // for the PROXY header, connecting, or the first byte
  bool header_ = false;             // a PROXY header must arrive before anything else

  // Requests of the module, performed when its hook has returned.
  std::optional<std::string> lookup_;
  std::unique_ptr<MapWalk> walk_;  // the look-up, if a source is on another machine
  uint64_t asked_map_ = 0;         // the ticket while it waits for an answer
  bool looked_up_ = false;
  // The find() of "rum.shared/1" that is under way.
  struct Finding {
    std::string key;
    uint64_t ticket = 0;  // while others are asked
    std::optional<SharedAnswer> answer;
  };
  std::unique_ptr<Finding> finding_;
  bool asks_others() const { return finding_ && finding_->ticket; }
  std::optional<std::vector<Address>> connect_;
  bool gives_up_ = false;  // the upstream that is there, for the one of connect_
  uint8_t connects_ = 0;   // accepted calls of connect()
  bool relay_ = false;
  std::optional<uint32_t> hand_over_;  // requested: the side whose bytes are to be relayed
  std::optional<uint32_t> handed_;     // current: the session is in its watch
  unsigned rounds_ = 0;  // consecutive answers after which the module consumed and sent nothing
  uint32_t close_reason_ = 0;
  std::string close_text_;
  std::string_view refused_for_;
  TlsRequest tls_[2];
  std::string alpn_[2];  // as set_alpn() of rum.tls/1 takes it

  std::optional<uint32_t> outcome_;  // the connector's, not yet reported
  std::string_view outcome_detail_;  // points into a table or to tls_error_
  std::string tls_error_;            // of the last server whose handshake failed
  bool upstream_open_ = false;
  bool client_missed_ = false;  // its connection broke, and the module continues without it
  std::string upstream_host_;   // the connected host, for the name in a certificate
  bool upstream_spoke_ = false;
  uint64_t pause_ = 0;  // the pending ticket
  std::optional<Resumed> resumed_;
  std::vector<std::unique_ptr<Timer>> timers_;
  std::vector<uint64_t> rung_;  // timers whose hook is due

  // A login that waits for the end of a pause.
  struct Held {
    uint64_t ticket = 0;  // 0: the pause has ended
    LoginPauses::Place place;
  };
  std::unique_ptr<Held> held_;

  // What "rum.keep/1" needs, as few sessions use it.
  struct Keeping {
    std::string wanted;                // the key; empty: none
    std::optional<std::string> value;  // of the connection that was taken
    bool part = false;                 // asked for, and not done
    std::string tail;                  // of a read that the module is to see; empty: none
    uint64_t asked_at = 0;         // what the other side had sent when bytes were passed on last
    KeptConnections::Label label;  // to be kept under it
    KeptBudget::Lease lease;       // the same
    uint64_t generation = 0;       // when it was connected
    uint64_t sequence = 0;         // of the map's last change, likewise
  };
  Keeping& keeping();
  std::unique_ptr<Keeping> keeping_;
  uint64_t below_[2] = {0, 0};  // of await() of rum.queue/1
  uint8_t awaits_ = 0;          // 1 << side: its hook is owed
  bool turn_ = false;           // and may be called in this turn
};

}  // namespace rum
