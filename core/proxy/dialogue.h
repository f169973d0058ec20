// A session until its relay: the module sees the bytes and says what becomes of them. Owns what is
// needed only so long: windows, the module's requests and timers, the connector, deadlines.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "limits/admission.h"
#include "net/buffer.h"
#include "net/loop.h"
#include "net/side.h"
#include "proxy/connector.h"
#include "proxy/deadlines.h"
#include "proxy/kept_connections.h"
#include "rum/module.h"

namespace rum {

class Session;
class Worker;
struct Probe;

class Dialogue {
 public:
  // What the session does when Proceed() returns. A dialogue neither ends its session nor begins
  // the relay, so that none of its own calls destroys it.
  enum class Next : uint8_t {
    kWait,     // nothing is due until the next event; in a watch, the flows may move
    kWelcome,  // the PROXY header has said who the client is: admit it, and open the module's part
    kRelay,    // take PassOn(), then relay both ways
    kClose,    // finish with close_reason() and close_text()
  };
  // What MoveWatch() has found.
  struct Moved {
    bool more;  // there is more than a turn's share
    bool due;   // there may be something to do for the module again
  };

  // In memory of the worker's freelist, where DeleteDialogue gives it back.
  static Dialogue* New(Session& session, Worker& worker);
  Dialogue(const Dialogue&) = delete;

  // [worker] How a session begins; each at most once, before the first Proceed().
  void BeginClient(bool tls, bool header);  // first TLS, or first a PROXY header
  void BeginProbe(const Probe& probe);      // to its destination, if it has one
  void BeginRefusal();                      // after BeginClient(): has other bounds from here on

  // [worker] Does what is due, one step at a time: a hook of the module, or what it asked for.
  [[nodiscard]] Next Proceed();
  // Writes what waits for the sides. True: something may be due again.
  bool Flush();
  // A side has drained that the module awaits: call OnTurn() in another turn.
  bool drained() const { return awaits_ && (Drained(RUM_CLIENT) || Drained(RUM_UPSTREAM)); }
  void OnTurn() { turn_ = awaits_ != 0; }
  // In a watch: moves what flows by itself, and what the module let through.
  Moved MoveWatch();

  // [worker] Events that the session passes on; Proceed() does what they make due.
  void OnReady(uint32_t side, uint32_t what);  // as the loop told it
  void OnResolved(std::vector<SocketAddress> addresses) {
    connector_.OnResolved(std::move(addresses));
  }
  void OnResumed(uint64_t ticket, int32_t status, void* payload, void (*drop)(void* payload));
  void OnPhaseDeadline();  // of connecting, TLS with a server, or the server's first byte
  void OnAnswered();       // bytes were queued for the server, or it has sent some
  void OnLoggedIn() { connector_.LoggedIn(); }  // a way flows unseen for the first time
  void Rearm();                                 // the settings are new, as of Session
  void Recount() { connector_.Recount(); }

  // [worker] The end, in this order: BlameServer(), the module's last word, ReleaseLeases(), and
  // DropAnswers(). Before a relay: PassOn() and DropAnswers().
  // Closes the upstream's socket: of one that is not connected yet, or was given up.
  void DropServer();
  void PassOn();                        // queues what is left in the windows
  void BlameServer(uint32_t reason);    // if the reason says something about the server
  void ReleaseLeases(uint32_t reason);  // before the client learns of the end, and comes again
  void DropAnswers();                   // of pauses; none is given to the module any more

  // [worker] What the module asks for by the host calls of rum/module.h, with good arguments. Each
  // only notes it; Proceed() does it when the module's hook has returned. Only while asking().
  bool asking() const { return close_reason_ == 0; }
  int32_t Need(uint32_t side, size_t size);
  int32_t Forward(uint32_t from, uint64_t size);
  int32_t Relay();
  int32_t RelayFrom(uint32_t side);
  int32_t TakeBack(uint32_t side);
  int32_t Lookup(std::string_view key);
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
  int32_t NoLogin();
  int32_t AwaitDrained(uint32_t side, uint64_t below);
  uint64_t Pause();
  uint64_t AddTimer(uint64_t microseconds);
  void CancelTimer(uint64_t ticket);  // even when no longer asking()
  void Close(uint32_t reason, std::string_view text);

  bool awaits_header() const { return header_; }
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
  // `reason`: 0, or why no server of all could be connected to.
  void OnConnected(uint32_t reason, std::string_view detail, const Address& destination);
  // What the module wants, if it is kept: for the session's side of the server.
  bool TakeKept(const std::string& server, KeptConnections::Label* label);
  void OnTaken(const Address& destination, std::string value);

 private:
  friend struct DeleteDialogue;

  // The bytes of one side that the module has not consumed yet.
  struct Window {
    Buffer bytes;
    size_t need = 0;        // call the hook only when this many are there
    uint64_t forward = 0;   // pass this many on unseen first
    bool fresh = false;     // something came since the hook saw it last
    bool end_told = false;  // side_end was called
    size_t most() const;
  };
  struct Timer {
    Timer(Dialogue& dialogue, Loop& loop, uint64_t ticket);
    Loop::Timer timer;
    Dialogue& dialogue;
    uint64_t ticket;
  };
  // TLS of a side: asked for and not begun, begun, and by whom.
  struct TlsRequest {
    bool asked = false;
    bool begun = false;
    bool own = false;  // rum's own doing, by tls:HOST:PORT: the module is not told
    std::string name;
  };
  struct Resumed {
    uint64_t ticket;
    int32_t status;
    void* payload;
    void (*drop)(void* payload);
  };

  Dialogue(Session& session, Worker& worker);
  ~Dialogue() = default;
  static void OnTimer(void* timer);

  bool ReadHeader();  // the PROXY headers: session_open.cc
  void SendHeader();
  bool Step();  // does one thing that is due; false: nothing is
  std::optional<bool> StepKeeping();
  bool LoseTaken();
  void GiveUpServer();
  Moved MoveUntil(uint32_t seen);
  std::string KeyOf(std::string_view key) const;
  void KeepAtLast();
  bool FindReset();
  bool DeliverOutcome();
  bool DeliverLookup();
  bool DeliverResumed();
  bool DeliverTimer();
  bool DeliverDrained();
  bool Drained(uint32_t side) const;
  bool Fill(uint32_t side);     // socket -> window
  bool Deliver(uint32_t side);  // bytes to the module, or past it
  bool DeliverEnd(uint32_t side);
  void LoseClient();
  bool AdvanceTls(uint32_t side);
  void TlsDone(uint32_t side, bool done);
  void LeaveServer(uint32_t reason, std::string error);
  void HandOver();                   // serves relay_from() and take_back()
  bool Unread(uint32_t side) const;  // in a watch: it is not read on purpose
  bool ConfirmAtLast();
  void EndLoginDeadline();
  bool alone() const;  // there is a client, or a server, but never both
  void BeginConnect();
  // A connect() has no outcome yet that the module knows.
  bool connecting() const {
    return connect_ || connector_.active() || outcome_ ||
           (tls_[RUM_UPSTREAM].asked && !upstream_open_);
  }

  Side& side(uint32_t which) const;
  const rum_module& module() const;
  static uint32_t Other(uint32_t which) { return 1 - which; }

  Session& session_;
  Worker& worker_;

  Window windows_[2];
  Connector connector_;
  Admission::Candidate candidate_;  // admitted, and not proved yet
  LoginGuard::Attempt proof_;       // of the password, which waits or is being judged
  Deadline login_;                  // from accept to relay
  Deadline phase_;                  // the PROXY header, connecting, or the first byte
  bool header_ = false;  // a PROXY header must come first; nothing else is done until then

  // Requests of the module, served when its hook has returned.
  std::optional<std::string> lookup_;
  std::optional<std::vector<Address>> connect_;
  bool gives_up_ = false;  // the upstream that is there, for the one of connect_
  uint8_t connects_ = 0;   // accepted calls of connect()
  bool relay_ = false;
  std::optional<uint32_t> hand_over_;  // the side whose bytes are to flow unseen
  std::optional<uint32_t> handed_;     // the same as it is now: the session is in its watch
  unsigned rounds_ = 0;  // answers in a row after which the module consumed and sent nothing
  uint32_t close_reason_ = 0;
  std::string close_text_;
  TlsRequest tls_[2];
  std::string alpn_[2];  // as set_alpn() of rum.tls/1 takes it

  std::optional<uint32_t> outcome_;  // of the connector, not told yet
  std::string_view outcome_detail_;  // to it, of a table or in tls_error_
  std::string tls_error_;            // of the last server with which a handshake failed
  bool upstream_open_ = false;
  bool client_missed_ = false;  // it broke, and the module goes on without it
  std::string upstream_host_;   // what was connected to, for the name in a certificate
  bool upstream_spoke_ = false;
  uint64_t pause_ = 0;  // the ticket that is out
  std::optional<Resumed> resumed_;
  std::vector<std::unique_ptr<Timer>> timers_;
  std::vector<uint64_t> rung_;  // timers whose hook is due

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
  };
  Keeping& keeping();
  std::unique_ptr<Keeping> keeping_;
  uint64_t below_[2] = {0, 0};  // of await() of rum.queue/1
  uint8_t awaits_ = 0;          // 1 << side: its hook is owed
  bool turn_ = false;           // and may be called in this turn
};

}  // namespace rum
