// What a session owns only while its module looks on: windows, the module's requests, the
// connector.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "limits/access_control.h"
#include "limits/admission.h"
#include "net/buffer.h"
#include "net/loop.h"
#include "proxy/connector.h"
#include "proxy/deadlines.h"
#include "upstream/connect_throttle.h"
#include "upstream/server_health.h"

namespace rum {

inline constexpr size_t kWindow = 64 * 1024;       // bytes a module may leave unconsumed
inline constexpr size_t kWindowMost = 256 * 1024;  // the same after need()
inline constexpr size_t kHighWater = 1024 * 1024;  // waiting for one side: stop reading the other
inline constexpr size_t kTimersMost = 16;
inline constexpr unsigned kRoundsMost = 1000;
inline constexpr unsigned kWatchRounds = 8;  // windows of a watched side in one turn

struct ModuleTimer {
  ModuleTimer(Loop& loop, Loop::Timer::Callback callback) : timer(loop, callback, this) {}
  Loop::Timer timer;
  Session* session = nullptr;
  uint64_t ticket = 0;
};

// The bytes of one side that the module has not consumed yet.
struct Window {
  Buffer bytes;
  size_t need = 0;        // call the hook only when this many are there
  uint64_t forward = 0;   // pass this many on unseen first
  bool fresh = false;     // something came since the hook saw it last
  bool end_told = false;  // side_end was called
  size_t most() const { return need > kWindow ? need : kWindow; }
};

class Worker;

struct Dialogue {
  // In memory of the worker's freelist, where DeleteDialogue gives it back.
  static Dialogue* New(Session& session, Worker& worker);

  Worker& worker;

  Window windows[2];
  Connector connector;
  AccessControl::ByDestination::Lease waiting;  // among those on their way to the same destination
  Admission::Candidate candidate;               // admitted, and not proved yet
  LoginGuard::Attempt proof;                    // of the password, which waits or is being judged
  ServerHealth::Attempt attempt;                // at the server, until it has shown that it is well
  ConnectThrottle::Lease arriving;              // until it has taken the connection
  Deadline login;                               // from accept to relay
  Deadline phase;                               // the PROXY header, connecting, or the first byte

  bool header = false;  // a PROXY header must come first; nothing else is done until then

  // Requests of the module, served when its hook has returned.
  std::optional<std::string> lookup;
  std::optional<std::vector<Address>> connect;
  bool relay = false;
  std::optional<uint32_t> hand_over;  // the side whose bytes are to flow unseen
  std::optional<uint32_t> handed;     // the same as it is now
  unsigned rounds = 0;                // answers in a row after which the module consumed nothing
  uint32_t close_reason = 0;
  std::string close_text;

  // TLS of a side: asked for and not begun, begun, and by whom.
  struct TlsRequest {
    bool asked = false;
    bool begun = false;
    bool own = false;  // rum's own doing, by tls:HOST:PORT: the module is not told
    std::string name;
  };
  TlsRequest tls[2];

  std::optional<uint32_t> outcome;  // of the connector, not told yet
  std::string_view outcome_detail;  // to it, of a table or in tls_error
  std::string tls_error;            // of the last server with which a handshake failed
  bool upstream_open = false;
  bool client_missed = false;  // it broke, and the module goes on without it
  std::string server;          // what was tried last, or connected to, as the operator writes it
  std::string upstream_host;   // what was connected to, for the name in a certificate
  bool upstream_spoke = false;
  uint64_t pause = 0;  // the ticket that is out
  struct Resumed {
    uint64_t ticket;
    int32_t status;
    void* payload;
    void (*drop)(void* payload);
  };
  std::optional<Resumed> resumed;
  std::vector<std::unique_ptr<ModuleTimer>> timers;
  std::vector<uint64_t> rung;  // timers whose hook is due

 private:
  Dialogue(Session& session, Worker& worker) : worker(worker), connector(session) {}
};

}  // namespace rum
