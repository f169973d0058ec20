// One session of the scripted host: the bytes that wait on each side, the module's pending calls
// (scripted_calls.cc), and the loop that calls the hooks that are due: scripted_session.cc, with
// scripted_answers.cc and scripted_flow.cc. Only for the scripted host and its table.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "check/scripted_groups.h"
#include "check/scripted_host.h"
#include "check/scripted_keep.h"

namespace rum {

// A configuration of the module, freed with the last session that uses it.
struct ScriptedHost::Config {
  const rum_module* module = nullptr;
  void* pointer = nullptr;
  void Free();
  ~Config() {
    if (module && module->config_free) Free();
  }
};

// State that outlives a session.
struct ScriptedHost::World {
  std::thread::id worker = std::this_thread::get_id();
  std::vector<rum_metric> metrics;
  std::map<std::string, uint64_t, std::less<>> sums;
  std::shared_ptr<Config> config;
  char worker_handle = 0;  // its address is the handle
  ScriptedWork work;
  ScriptedShared shared;
  ScriptedKeeps keeps;
  void* worker_data = nullptr;
  bool started = false;
  bool worker_started = false;
  std::map<std::string, std::string> map;
  bool map_there = false;
  bool map_broken = false;
  std::map<std::string, std::string> elsewhere;  // what other processes share
  bool elsewhere_broken = false;
  bool hold_answers = false;
  std::mutex mutex;  // for the members below, which any thread may extend
  std::vector<std::string> violations;
  std::vector<Deed> foreign_logs;
};

// The sizes and numbers that rum/module.h promises.
namespace scripted {
inline constexpr size_t kWindow = 64 * 1024;
inline constexpr size_t kWindowMost = RUM_MOST_NEED;
inline constexpr size_t kHighWater = 1024 * 1024;
inline constexpr size_t kTimersMost = RUM_MOST_TIMERS;
inline constexpr uint64_t kTimerMost = RUM_MOST_MILLISECONDS;
inline constexpr size_t kUserMost = RUM_MOST_USER;
inline constexpr size_t kNotesMost = RUM_MOST_NOTES;
inline constexpr size_t kNoteKeyMost = 32;
inline constexpr size_t kNoteValueMost = RUM_MOST_NOTE;
inline constexpr size_t kKeyMost = RUM_MOST_KEY;
inline constexpr size_t kServerNameMost = RUM_MOST_SERVER_NAME;
// Freed sessions and tickets that are still recognised when a module uses them.
inline constexpr size_t kGoneMost = 4096;
// Most consecutive hooks that consume nothing, without input in between; more is a loop.
inline constexpr int kIdleHooksMost = 1000;
}  // namespace scripted

class ScriptedSession {
 public:
  struct Answer {  // of resume()
    uint64_t ticket;
    int32_t status;
    void* payload;
    void (*drop)(void*);
  };

  ScriptedSession(ScriptedHost& host, std::shared_ptr<ScriptedHost::Config> config, size_t number);
  ~ScriptedSession();

  rum_session* handle() const { return reinterpret_cast<rum_session*>(handle_); }
  ScriptedHost& host() { return host_; }
  void Act() { host_.deeds_.session = number_; }  // counts what follows as this session's

  // Called by the driver.
  void Open();
  void OpenProbe(const std::string& destination, const std::optional<std::string>& user,
                 bool is_default);
  void OpenRefused(uint32_t why);
  bool Feed(uint32_t side, std::string_view bytes);
  bool End(uint32_t side);
  bool Reset(uint32_t side);
  bool ConnectOutcome(uint32_t reason);
  bool CanTakeKept() const;
  bool TakeKept();  // connect() takes a kept connection
  bool MapAnswer(int32_t status, std::string_view value);
  bool TlsOutcome(uint32_t side, int32_t status);
  bool SetReading(uint32_t side, bool reading);
  bool CloseByRum(uint32_t reason);
  void Settle();                              // runs every hook that is due
  std::optional<uint64_t> NextTimer() const;  // when it expires

  // Called by the module: the functions of rum_host.
  int32_t Send(uint32_t side, const void* data, size_t size);
  int32_t Need(uint32_t side, size_t size);
  int32_t Forward(uint32_t from, uint64_t size);
  int32_t Relay();
  int32_t RelayFrom(uint32_t side);
  int32_t TakeBack(uint32_t side);
  int32_t Lookup(const void* key, size_t size);
  int32_t Identify(const void* user, size_t size);
  int32_t Connect(const char* address, size_t size);
  int32_t StartTls(uint32_t side, const char* server_name, size_t size);
  uint64_t Pause();
  uint64_t Timer(uint64_t milliseconds);
  void TimerCancel(uint64_t ticket);
  size_t Peer(uint32_t side, char* text, size_t size);
  int32_t Note(const char* key, const void* value, size_t size);
  void MetricAdd(uint32_t index, uint64_t delta);
  void Close(uint32_t reason, const char* text, size_t size);
  int32_t TlsFingerprint(uint8_t* digest);
  int32_t Admit(const void* record, size_t size);
  void LoginFailed();
  int32_t TryLogin();
  int32_t Confirm();
  int32_t Destination(char* text, size_t* size);
  int32_t NoLogin();
  int32_t AwaitDrained(uint32_t side, uint64_t below);
  int32_t SetAlpn(uint32_t side, std::string_view list);
  std::string Alpn(uint32_t side) const;  // what is agreed on; empty: none
  int32_t FindShared(std::string key);
  int32_t RemoveShared(const std::string& key);
  int32_t PutShared(std::string_view key, std::string_view value, uint64_t lifetime);
  int32_t ForwardUntil(uint32_t from, std::string_view tail);
  int32_t Answered(uint32_t from);
  int32_t Part();
  int32_t Keep(ScriptedKept kept, uint32_t most, uint64_t milliseconds);
  int32_t Want(std::string_view key);
  int32_t Taken(void* value, size_t* size);
  int32_t Renew();
  int32_t Spend(std::string_view address, std::string_view key);
  int32_t DropKept();

  // [any] The registry's mutex is held.
  void KeepAnswer(const Answer& answer) { answers_.push_back(answer); }
  bool WaitAnswer(uint64_t milliseconds);

  enum class Tls : uint8_t { kOff, kHandshake, kOn };
  struct Side {
    bool there = false;
    bool ended = false;         // the peer sent its end of file
    bool end_reported = false;  // side_end was called, or the relay passed the end on
    bool broken = false;
    bool reading = true;  // the peer reads
    Tls tls = Tls::kOff;
    std::string wire;    // arrived, not yet read by rum
    std::string window;  // read, not yet consumed
    size_t need = 0;     // the hook is due at this many bytes; 0: at any
    bool fresh = false;  // the window has bytes that the hook must see, for the first time or again
    uint64_t read = 0;   // bytes that rum has read
    uint64_t forward = 0;           // bytes to forward without the module
    size_t waiting = 0;             // sent, not yet read by the peer
    std::string sent;               // for TakeSent()
    std::optional<uint64_t> below;  // of await(), and not called yet
    size_t limit() const { return need > scripted::kWindow ? need : scripted::kWindow; }
  };
  Side sides[2];
  std::optional<std::string> lookup;   // key of the pending lookup
  std::optional<std::string> finding;  // key of the pending find() of rum.shared/1
  std::optional<std::string> connect;  // address of the pending connect
  bool relay = false;
  std::optional<uint32_t> handed;  // the side of relay_from()
  uint64_t pause = 0;
  uint64_t login_pause = 0;  // the last ticket of try_login()
  uint32_t reason = 0;       // why the session ends; 0: it does not
  std::string text;
  bool over = false;     // session_close has run, or is not needed
  bool refused = false;  // session_open returned a negative value
  bool probe = false;    // there is no client
  uint32_t refusal = 0;  // why rum refuses the client; 0: it does not
  std::map<std::string, std::string> notes;
  std::string user;
  bool identified = false;
  bool admitted = false;
  bool no_login = false;
  uint64_t hook_calls = 0;

 private:
  static uint32_t Other(uint32_t side) { return 1 - side; }
  bool Step();
  bool DeliverAnswer();
  void DropAnswers();
  void BeginRelay();
  void DropServer();
  void GiveUpServer();
  std::string FirstServer() const;
  void Connected(std::string server, bool tls);
  bool StopsAtTail(uint32_t side);
  size_t HeldForTail(uint32_t side) const;
  bool StepKeeping();
  bool DeliverLookup();
  bool DeliverShared();
  bool FireTimer();
  bool DeliverDrained(uint32_t side);
  bool Pump(uint32_t side);
  bool PumpRelay(uint32_t side);
  bool CallData(uint32_t side);
  void JudgeConsumed(uint32_t side, int64_t consumed, size_t size, size_t limit);
  bool CallEnd(uint32_t side);
  int32_t ReportEnd(uint32_t side);  // returns the module's answer
  void Fill(Side& side, const Side& other);
  void EndWith(uint32_t reason, std::string_view text = {});
  void Finish();
  void Out(uint32_t side, std::string_view bytes);
  int32_t Refuse(const char* call, int32_t error);
  bool Ending() const { return reason != 0; }
  // Calls a hook and catches what must not leave it.
  template <class Hook>
  bool Run(const char* name, Hook hook) {
    return RunHook(name, std::ref(hook));
  }
  bool RunHook(const char* name, const std::function<void()>& hook);

  ScriptedHost& host_;
  const size_t number_;
  const rum_module& module_;
  std::shared_ptr<ScriptedHost::Config> config_;
  void* handle_;
  std::unique_ptr<uint8_t[]> spoiled_;  // the bytes that the last data hook saw
  void* data_ = nullptr;
  std::map<uint64_t, uint64_t> timers_;  // ticket → expiry time
  std::deque<Answer> answers_;           // guarded by the registry's mutex
  int depth_ = 0;                        // depth of running hooks
  bool settling_ = false;
  int idle_hooks_ = 0;
  size_t sent_in_hook_ = 0;
  std::string alpn_[2];                    // as given to set_alpn()
  std::string server_;                     // current or last server, as given to connect()
  bool confirmed_ = false;                 // logged in, by confirm() or a relay
  bool need_refused_[2] = {false, false};  // need() returned RUM_E_LIMIT in the running data hook
  bool aimed_ = false;                     // a probe of one destination
  bool relay_begun_ = false;
  uint64_t refused_until_ = 0;
  size_t refused_read_ = 0;
  bool relayed_ = false;   // one way was, at least once
  bool gives_up_ = false;  // the upstream that was there, for another one
  uint32_t connects_ = 0;  // calls of connect() that were accepted
  ScriptedKeeping keeping_;
  bool end_passed_[2] = {false, false};
  uint32_t ended_first_ = 0;  // relay: 1 + the side
};

}  // namespace rum
