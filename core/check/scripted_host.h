// A rum without a network: gives a module the whole host table, lets the test play both peers of
// each session, and records what the module did and which rules it broke.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "rum/module.h"

namespace rum {

class ScriptedSession;

// One thing that the module did, or that rum did for it. Bytes are std::string: they may hold any
// byte.
struct Deed {
  enum class Kind : uint8_t {
    kSend,       // bytes went to `side` by send(), forward() or the relay; adjacent ones are joined
    kEnd,        // the relay passed the other side's end of file on to `side`
    kLookup,     // bytes: the key
    kIdentify,   // bytes: the user
    kConnect,    // bytes: the address as the module gave it, empty for the default destination
    kRelay,      // relay() was accepted
    kRelayFrom,  // relay_from() was accepted; side
    kTakeBack,   // take_back() was accepted; side
    kStartTls,   // side; bytes: the server name
    kTlsInput,   // bytes from `side` went to the TLS engine
    kClose,      // the session ended; number: the reason; bytes: the text of close()
    kPause,      // number: the ticket
    kTimer,      // number: milliseconds
    kNote,       // name: the key; bytes: the value
    kLog,        // number: the level; bytes: the line
    kMetric,     // name: the counter; number: the increment
    kRefused,    // name: the host call; number: the error, made positive
    kAdmit,      // bytes: the record; number: the verdict
    kLoginFailed,
    kConfirm,  // number: the verdict
    kNoLogin,
    kAwait,    // side; number: the bytes that may be left
    kSetAlpn,  // side; bytes: the protocols, with commas between them
    kPart,
    kKeep,  // number: milliseconds
    kWant,
    kRenew,
  };
  Kind kind;
  uint32_t side = 0;
  uint64_t number = 0;
  std::string name;
  std::string bytes;
  size_t session = 0;  // as in Select()
};

// Marks each deed with its session.
struct DeedList {
  std::vector<Deed> all;
  size_t session = 0;
  void push_back(Deed deed) {
    deed.session = session;
    all.push_back(std::move(deed));
  }
  bool empty() const { return all.empty(); }
  Deed& back() { return all.back(); }
};

// To test a module that is linked in or loaded:
//
//   ScriptedHost host(rum_module_v1);
//   ASSERT_TRUE(host.Start({{"mine-mode", "fast"}}));
//   host.AddToMap("alice", "tcp:192.0.2.9:25");          // or answer by hand with MapAnswer()
//   host.Open();
//   host.Feed(RUM_CLIENT, "HELO alice\r\n");
//   EXPECT_EQ(host.connecting(), "tcp:192.0.2.9:25");
//   host.ConnectOutcome(0);
//   EXPECT_EQ(host.TakeSent(RUM_UPSTREAM), "HELO alice\r\n");
//   EXPECT_EQ(host.violations(), std::vector<std::string>{});
//
// Each call of the driver (Open, Feed, ...) runs every hook that is due, and returns when the
// module waits for input. All calls come from one thread; other threads may use only
// rum_host.resume, log, now and extension, as the contract says. Only Advance() moves the clock.
// init runs once per module and process, so a test may make many hosts for one module.
class ScriptedHost {
 public:
  using Options = std::map<std::string, std::string>;  // name → value; a flag has the value "1"

  explicit ScriptedHost(const rum_module& module);
  ~ScriptedHost();  // ends the session (KILLED), the worker and the configuration
  ScriptedHost(const ScriptedHost&) = delete;
  ScriptedHost& operator=(const ScriptedHost&) = delete;

  // The world around the session. Set each value before the module asks for it.
  std::string default_destination = "tcp:default.test:1";  // -d; empty: none
  bool has_map = true;                                     // -M; without it lookup() fails
  int32_t admission = RUM_OK;                              // result of admit()
  int32_t confirmation = RUM_OK;                           // result of confirm()
  bool blocked = false;      // result of blocked(); if true, try_login() refuses
  bool login_waits = false;  // try_login() pauses the session: see EndLoginWait()
  // What "rum.tls/1" reports for a side, RUM_TLS_...; with OFF start_tls() fails.
  uint32_t tls_mode[2] = {RUM_TLS_OFF, RUM_TLS_OFF};
  bool tls_listener = false;  // clients use TLS from the first byte
  // The peer of a side in a TLS handshake.
  struct TlsPeer {
    std::vector<std::string> alpn;  // its protocols, the preferred one first
    std::string server_name;        // requested by a client
    std::string certificate;        // DER; empty: none
    int32_t version = 0x0304;
    // tls-server-end-point of that side; nullopt: the certificate has none
    std::optional<std::string> end_point = std::string(32, '\x5a');
  };
  TlsPeer tls_peer[2];
  std::string client_certificate = std::string(32, '\x5a');  // its SHA-256
  std::string peer[2] = {"192.0.2.1:40112", "192.0.2.2:3306"};
  std::string user_names{"rum\0", 4};             // what "rum.process/1" reports
  std::map<std::string, std::string> state;       // what save() of "rum.state/1" stored
  std::map<std::string, const void*> extensions;  // besides rum's own, or in their place
  // With a map, lookups are answered right after the hook. Without one the driver answers them by
  // MapAnswer().
  void AddToMap(std::string key, std::string value);
  // What other processes share, for find() of rum.shared/1; broken: they do not answer.
  void AddElsewhere(std::string key, std::string value);
  void BreakElsewhere();
  void BreakMap();              // every later lookup fails with RUM_E_FAILED
  void HoldAnswers(bool hold);  // delays the answers of the map until HoldAnswers(false)

  // Lifecycle of the module. Open() starts it without options unless Start() was called.
  Status Start(const Options& options = {});
  Status Reload(const Options& options);  // an open session keeps its configuration
  std::string Refusal(uint32_t reason);
  std::string Stats();

  // For several sessions at a time: from here on, all calls concern session `n`; at the start it is
  // 0. Each call of the driver also runs what is due in the other sessions.
  void Select(size_t n);
  size_t selected() const { return selected_; }

  // Lifecycle of the session. False: impossible now, such as the outcome of a connect that was not
  // requested, or bytes from a side that is not connected.
  bool Open();  // also true if session_open refuses: see closed()
  // Opens a probe: a session without a client that first waits for ConnectOutcome(). An empty
  // destination only asks where `user` would go. False: the module has no hook for it.
  bool OpenProbe(const std::string& destination, std::optional<std::string> user = {},
                 bool is_default = false);
  // A client that rum refuses. False: the module has no hook for it; see Refusal().
  bool OpenRefused(uint32_t reason);
  bool Feed(uint32_t side, std::string_view bytes);
  bool End(uint32_t side);               // end of file
  bool Reset(uint32_t side);             // the connection broke
  bool ConnectOutcome(uint32_t reason);  // 0, or RUM_CLOSE_CONNECT_REFUSED and so on
  bool TakeKept();                       // a kept connection; false: none will do
  bool MapAnswer(int32_t status, std::string_view value = {});
  bool TlsOutcome(uint32_t side, int32_t status);  // after that, Feed() gives decrypted bytes
  bool StopReading(uint32_t side);  // the peer stops reading, so output reaches the high-water mark
  bool StartReading(uint32_t side);
  bool CloseByRum(uint32_t reason);         // LOGIN_TIMEOUT, KILLED, DRAIN, ...
  void Advance(uint64_t milliseconds);      // runs the timers that expire, in order
  bool RunWorker();                         // runs posted work and expired timers of the worker
  bool EndLoginWait();                      // lets the login continue that try_login() delayed
  bool WaitResumed(uint64_t milliseconds);  // waits in real time for resume() from another thread

  // Pending calls. nullopt: none.
  bool open() const;                              // session_open has run, session_close has not
  std::optional<std::string> looking_up() const;  // the key
  std::optional<std::string> connecting() const;  // the address
  bool can_take_kept() const;
  bool probing() const;  // a session without a client
  bool connected() const;
  bool relaying() const;                        // relay() was accepted
  std::optional<uint32_t> handed_over() const;  // the side of relay_from()
  bool tls_wanted(uint32_t side) const;         // start_tls() is pending
  bool paused() const;
  bool waits_for_login() const;            // paused by try_login()
  std::optional<uint32_t> closed() const;  // the reason
  std::string close_text() const;
  std::string unconsumed(uint32_t side) const;  // bytes that the module has not consumed
  size_t needed(uint32_t side) const;           // the pending need(); 0: none
  bool ended(uint32_t side) const;              // end of file, or the connection broke
  std::optional<uint64_t> next_timer() const;   // of this session: milliseconds until it expires
  // side_end has answered RUM_KEEP for each connected side, and nothing is pending that could call
  // a hook: the session can only wait for its deadline.
  bool forgotten() const;
  std::map<std::string, std::string> notes() const;
  std::string user() const;                      // from the last identify()
  uint64_t metric(std::string_view name) const;  // the sum over all sessions of this host
  uint64_t hook_calls() const;                   // calls of data hooks in this session

  // What happened in all sessions of this host, oldest first.
  const std::vector<Deed>& deeds() const { return deeds_.all; }
  // Bytes sent to a side since the last call or the last Open().
  std::string TakeSent(uint32_t side);

  // Rules of rum/module.h that the module broke, one sentence each; a test wants none.
  std::vector<std::string> violations() const;
  void ForgetViolations();

  const rum_module& module() const { return module_; }
  static const rum_host& Table();  // the argument of init
  // For callers that have already loaded a module and called its init with Table().
  static void InitWasCalled(const rum_module& module);
  static const char* running_hook();       // for reports of a crash; "" if none runs
  static void NameHook(const char* name);  // for callers without a host; a constant, or ""

  // Ends all sessions and forgets them and all deeds, so that only the module holds memory.
  void ForgetDeeds();

  struct Config;  // scripted_session.h; not for tests
  struct World;

 private:
  friend class ScriptedSession;

  Result<std::shared_ptr<Config>> MakeConfig(const Options& options);
  void AdvanceWorker(uint64_t end);

  rum_module module_;              // a copy, zero where the module's table is shorter
  ScriptedSession& NewSession();   // replaces the selected session, which has ended
  bool SettleOthers(bool answer);  // returns `answer`

  DeedList deeds_;
  std::unique_ptr<World> world_;
  std::vector<std::unique_ptr<ScriptedSession>> sessions_;
  ScriptedSession* session_ = nullptr;  // the selected one
  size_t selected_ = 0;
};

}  // namespace rum
