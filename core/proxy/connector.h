// Destination to connected socket: the names, addresses and attempts of one connect(), in order,
// each within --connect-timeout.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "limits/access_control.h"
#include "upstream/connect_throttle.h"
#include "upstream/server_health.h"

namespace rum {

class Dialogue;
class Session;

class Connector {
 public:
  Connector(Session& session, Dialogue& dialogue) : session_(session), dialogue_(dialogue) {}
  ~Connector();

  // [worker] Begins. The outcome comes by Dialogue::OnConnected, perhaps before this returns.
  void Start(std::vector<Address> destinations);
  bool active() const { return state_ != State::kIdle; }
  // What was tried last, or connected to, as the operator writes it; empty: nothing was.
  const std::string& server() const { return server_; }
  // What was connected to, or tried last; no IP address: a unix socket.
  SocketAddress address() const {
    return address_ < addresses_.size() ? addresses_[address_] : SocketAddress();
  }

  // The destination that was connected to, and those behind it.
  std::vector<Address> Rest() const;

  // [worker] What it waits for has come.
  void OnSocketReady(uint32_t what);  // as the loop told it
  void OnResolved(std::vector<SocketAddress> addresses);
  void OnDeadline();

  // [worker] What it had connected to cannot be used, and has been given nothing of the client's:
  // goes on with the next address, or the next server. `detail` must outlive the dialogue's next
  // outcome.
  void Failed(uint32_t reason, std::string_view detail);

  // [worker] The session leaves the server, which has ended if it is `gone`, and will Start()
  // again.
  void Leave(bool gone);

  // [worker] The settings are new: counts this session for its destination, or no more.
  void Recount();

  // [worker] What the session has found out about the server.
  void Answered(bool tls);  // it works; `tls`: by TLS, so that this cannot fail any more
  void Succeeded() { attempt_.Succeeded(); }
  void Blame(uint32_t reason);
  // [worker] The session is no longer on its way to a login there.
  void LoggedIn();
  void LeaveQueue() { waiting_.Release(); }

 private:
  enum class State : uint8_t {
    kIdle,        // owns nothing
    kResolving,   // a ticket is out; leaves by OnResolved or OnDeadline
    kQueued,      // others are to be taken by the server first; leaves by OnDeadline
    kRetrying,    // a unix socket's backlog was full; leaves by OnDeadline
    kConnecting,  // the session's upstream side is a socket; leaves by OnSocketReady or OnDeadline
  };

  void TryDestination();
  bool UseKept(const Address& destination);
  uint32_t MayTry(const Address& destination);
  bool IsMyTurn();
  void TryAddresses(std::vector<SocketAddress> addresses);
  void TryAddress();
  bool Attempt(const sockaddr* address, socklen_t size);
  bool Connect(int fd, const sockaddr* address, socklen_t size);
  bool Retry();
  void NextAddress(uint32_t reason);
  void NextDestination(uint32_t reason);
  void Done(uint32_t reason);

  Session& session_;
  Dialogue& dialogue_;
  AccessControl::ByDestination::Lease waiting_;  // among those on their way to the same destination
  ServerHealth::Attempt attempt_;    // at the server, until it has shown that it is well
  ConnectThrottle::Lease arriving_;  // until it has taken the connection
  std::string server_;
  State state_ = State::kIdle;
  uint32_t last_reason_ = 0;
  std::string_view detail_;  // to the reason, of a table
  uint64_t ticket_ = 0;
  uint64_t give_up_ = 0;  // retrying until then, monotonic ms; 0: not begun
  uint64_t queued_ = 0;   // since then, monotonic ms; 0: not
  uint64_t began_ = 0;    // of the attempt, monotonic microseconds
  std::vector<Address> destinations_;
  size_t destination_ = 0;
  std::vector<SocketAddress> addresses_;
  size_t address_ = 0;
};

}  // namespace rum
