// A rum without a network: gives a module the whole host table, plays both peers of each session by
// hand, and keeps a list of what the module did and of the rules it broke.
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

// One thing that the module did, or that rum did for it. Bytes are std::string: any byte may occur.
struct Deed {
  enum class Kind : uint8_t {
    kSend,       // bytes went to `side`: by send(), forward() or the relay; neighbours are joined
    kEnd,        // the relay passed the end of the other side on to `side`
    kLookup,     // bytes: the key
    kIdentify,   // bytes: the user
    kConnect,    // bytes: the address as the module gave it, empty for the default destination
    kRelay,      // relay() was accepted
    kRelayFrom,  // relay_from() was accepted; side
    kTakeBack,   // take_back() was accepted; side
    kStartTls,   // side; bytes: the server name
    kTlsInput,   // bytes from `side` went to the TLS engine
    kClose,      // the session is over; number: the reason; bytes: the text of close()
    kPause,      // number: the ticket
    kTimer,      // number: milliseconds
    kNote,       // name: the key; bytes: the value
    kLog,        // number: the level; bytes: the line
    kMetric,     // name: the counter; number: what was added
    kRefused,    // name: the host call; number: the error as a positive number
    kAdmit,      // bytes: the record; number: the verdict
    kLoginFailed,
    kConfirm,  // number: the verdict
    kNoLogin,
    kAwait,    // side; number: the bytes that may be left
    kSetAlpn,  // side; bytes: the protocols, with commas between them
  };
  Kind kind;
  uint32_t side = 0;
  uint64_t number = 0;
  std::string name;
  std::string bytes;
  size_t session = 0;  // of Select()
};

// Stamps each deed with the session that it belongs to.
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

// Use, in a test of a module that is linked in or loaded:
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
// Each call of the driver (Open, Feed, ...) runs every hook that is due and returns when the module
// waits for the outside again. All calls come from one thread; only rum_host.resume, log, now and
// extension may be used by other threads, as the contract says. Time stands still but for
// Advance(). init runs once in a process for each module, so that many hosts may be made for one
// module.
class ScriptedHost {
 public:
  using Options = std::map<std::string, std::string>;  // name → value; a flag has the value "1"

  explicit ScriptedHost(const rum_module& module);
  ~ScriptedHost();  // ends the session (KILLED), the worker and the configuration
  ScriptedHost(const ScriptedHost&) = delete;
  ScriptedHost& operator=(const ScriptedHost&) = delete;

  // The world around the session; to be set before the call that asks for it.
  std::string default_destination = "tcp:default.test:1";  // -d; empty: there is none
  bool has_map = true;                                     // -M; without it lookup() is refused
  int32_t admission = RUM_OK;                              // what admit() answers
  int32_t confirmation = RUM_OK;                           // what confirm() answers
  bool blocked = false;      // what blocked() answers; try_login() refuses then
  bool login_waits = false;  // try_login() pauses the session: see EndLoginWait()
  // What "rum.tls/1" says of a side, RUM_TLS_...; OFF: start_tls() is refused.
  uint32_t tls_mode[2] = {RUM_TLS_OFF, RUM_TLS_OFF};
  bool tls_listener = false;  // clients come by TLS from the first byte on
  // What the peer of a side brings to a TLS handshake.
  struct TlsPeer {
    std::vector<std::string> alpn;  // the protocols that it knows, the best first
    std::string server_name;        // that a client asks for
    std::string certificate;        // DER; empty: it shows none
    int32_t version = 0x0304;
    // tls-server-end-point of that side; nothing: the certificate has none
    std::optional<std::string> end_point = std::string(32, '\x5a');
  };
  TlsPeer tls_peer[2];
  std::string client_certificate = std::string(32, '\x5a');  // its SHA-256
  std::string peer[2] = {"192.0.2.1:40112", "192.0.2.2:3306"};
  std::string user_names{"rum\0", 4};             // what "rum.process/1" tells
  std::map<std::string, std::string> state;       // what save() of "rum.state/1" keeps
  std::map<std::string, const void*> extensions;  // beside rum's own, or in place of one of them
  // Look-ups are answered from this map at once after the hook, when there is one. Without it the
  // driver answers by MapAnswer().
  void AddToMap(std::string key, std::string value);
  void BreakMap();              // every look-up is answered by RUM_E_FAILED from here on
  void HoldAnswers(bool hold);  // keeps answers of the map back until HoldAnswers(false)

  // Life of the module. Open() starts with no options if Start() was not called.
  Status Start(const Options& options = {});
  Status Reload(const Options& options);  // an open session keeps the configuration it has
  std::string Refusal(uint32_t reason);
  std::string Stats();

  // Several sessions at a time: from here on all that concerns a session concerns number `n`, 0 as
  // in the beginning. What the other sessions have to do is done, too, after each call of the
  // driver.
  void Select(size_t n);
  size_t selected() const { return selected_; }

  // Life of the session. False: that cannot happen now, such as the outcome of a connect that
  // nobody asked for, or bytes from a side that is not there.
  bool Open();  // true as well when session_open refuses: see closed()
  // A probe: a session without a client, for which ConnectOutcome() is due next. An empty
  // destination: only where `user` would go is asked. False: the module has no hook for it.
  bool OpenProbe(const std::string& destination, std::optional<std::string> user = {},
                 bool is_default = false);
  // A client that rum refuses. False: the module has no hook for it; see Refusal().
  bool OpenRefused(uint32_t reason);
  bool Feed(uint32_t side, std::string_view bytes);
  bool End(uint32_t side);               // end of file
  bool Reset(uint32_t side);             // the connection broke
  bool ConnectOutcome(uint32_t reason);  // 0, or RUM_CLOSE_CONNECT_REFUSED and so on
  bool MapAnswer(int32_t status, std::string_view value = {});
  bool TlsOutcome(uint32_t side, int32_t status);  // Feed() means decrypted bytes from here on
  bool StopReading(uint32_t side);  // that peer takes no more bytes: the high-water mark works
  bool StartReading(uint32_t side);
  bool CloseByRum(uint32_t reason);         // LOGIN_TIMEOUT, KILLED, DRAIN, ...
  void Advance(uint64_t milliseconds);      // runs the timers that are due, in their order
  bool RunWorker();                         // what was posted to the worker, and what is due
  bool EndLoginWait();                      // the turn that try_login() waits for has come
  bool WaitResumed(uint64_t milliseconds);  // waits in real time for resume() of another thread

  // What is under way. An empty optional: nothing.
  bool open() const;                              // session_open has run, session_close has not
  std::optional<std::string> looking_up() const;  // the key
  std::optional<std::string> connecting() const;  // the address
  bool probing() const;                           // a session without a client
  bool connected() const;
  bool relaying() const;                        // relay() was accepted
  std::optional<uint32_t> handed_over() const;  // the side of relay_from()
  bool tls_wanted(uint32_t side) const;         // start_tls() has no outcome yet
  bool paused() const;
  bool waits_for_login() const;            // paused by try_login()
  std::optional<uint32_t> closed() const;  // the reason
  std::string close_text() const;
  std::string unconsumed(uint32_t side) const;  // what the module has not consumed
  size_t needed(uint32_t side) const;           // the need() that is outstanding; 0: none
  bool ended(uint32_t side) const;              // end of file, or broken
  std::optional<uint64_t> next_timer() const;   // in how many milliseconds; of this session
  // side_end has answered RUM_KEEP for each side that is there, and nothing else is under way that
  // could ever call a hook: the session waits for its deadline only.
  bool forgotten() const;
  std::map<std::string, std::string> notes() const;
  std::string user() const;                      // the last identify()
  uint64_t metric(std::string_view name) const;  // the sum of all sessions of this host
  uint64_t hook_calls() const;                   // data hooks called in this session

  // What happened, oldest first, over all sessions of this host.
  const std::vector<Deed>& deeds() const { return deeds_.all; }
  // Bytes that went to a side since the last call or the last Open().
  std::string TakeSent(uint32_t side);

  // Rules of rum/module.h that the module broke, one sentence each. Empty is what a test wants.
  std::vector<std::string> violations() const;
  void ForgetViolations();

  const rum_module& module() const { return module_; }
  static const rum_host& Table();  // what init is given
  // For who has loaded a module and called its init with Table() already.
  static void InitWasCalled(const rum_module& module);
  static const char* running_hook();       // for reports of a crash; "" when none runs
  static void NameHook(const char* name);  // for who calls one without a host; a constant, or ""

  // Ends all sessions and forgets them and all deeds, so that memory in use is what the module has.
  void ForgetDeeds();

  struct Config;  // scripted_session.h; not for tests
  struct World;

 private:
  friend class ScriptedSession;

  Result<std::shared_ptr<Config>> MakeConfig(const Options& options);
  void AdvanceWorker(uint64_t end);

  rum_module module_;              // a copy, zeroes where the module's table is shorter
  ScriptedSession& NewSession();   // in place of the selected one, which has ended
  bool SettleOthers(bool answer);  // returns `answer`

  DeedList deeds_;
  std::unique_ptr<World> world_;
  std::vector<std::unique_ptr<ScriptedSession>> sessions_;
  ScriptedSession* session_ = nullptr;  // the selected one
  size_t selected_ = 0;
};

}  // namespace rum
