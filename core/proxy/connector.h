// From destination to connected socket: tries the names, addresses and attempts of one connect() in
// order, each within --connect-timeout.
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

  // [worker] Starts. The outcome arrives by Dialogue::OnConnected, perhaps before this returns.
  void Start(std::vector<Address> destinations);
  bool active() const { return state_ != State::kIdle; }
  // When it was connected last, in monotonic microseconds; 0: never.
  uint64_t connected() const { return connected_; }
  // The address last tried or connected, as the operator writes it; empty: none.
  const std::string& server() const { return server_; }
  // The address connected or last tried; no IP address: a unix socket.
  SocketAddress address() const {
    return address_ < addresses_.size() ? addresses_[address_] : SocketAddress();
  }

  // The connected destination, and those after it.
  std::vector<Address> Rest() const;

  // [worker] Events that it waits for.
  void OnSocketReady(uint32_t what);  // `what` as in the loop
  void OnResolved(std::vector<SocketAddress> addresses);
  void OnDeadline();

  // [worker] The connected server is unusable, and has received no client data: continues with the
  // next address or server. `detail` must outlive the next outcome.
  void Failed(uint32_t reason, std::string_view detail);

  // [worker] The session leaves the server, which has ended if it is `gone`, and will call Start()
  // again.
  void Leave(bool gone);

  // [worker] The settings have changed: starts or stops counting this session for its destination.
  void Recount();

  // [worker] Findings of the session about the server.
  void Answered(bool tls);  // it works; `tls`: by TLS, which can no longer fail
  void Succeeded() { attempt_.Succeeded(); }
  void Blame(uint32_t reason);
  // [worker] The session no longer counts as connecting.
  void LoggedIn();
  void LeaveQueue() { waiting_.Release(); }

 private:
  enum class State : uint8_t {
    kIdle,        // owns nothing
    kResolving,   // waits for a ticket; leaves by OnResolved or OnDeadline
    kQueued,      // waits in the connect throttle; leaves by OnDeadline
    kRetrying,    // a unix socket's backlog was full, or other workers give up descriptors; leaves
                  // by OnDeadline
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
  bool Retry(uint64_t most);
  void NextAddress(uint32_t reason);
  void NextDestination(uint32_t reason);
  void Done(uint32_t reason);

  Session& session_;
  Dialogue& dialogue_;
  AccessControl::ByDestination::Lease waiting_;  // counts it as connecting to the destination
  ServerHealth::Attempt attempt_;                // on the server, until it proves healthy
  ConnectThrottle::Lease arriving_;              // until the server has accepted the connection
  std::string server_;
  State state_ = State::kIdle;
  uint32_t last_reason_ = 0;
  std::string_view detail_;  // of the reason; points into a table
  uint64_t ticket_ = 0;
  uint64_t give_up_ = 0;    // end of retries, monotonic ms; 0: not retrying
  uint64_t queued_ = 0;     // since when, monotonic ms; 0: not queued
  uint64_t began_ = 0;      // start of the attempt, monotonic microseconds
  uint64_t tried_ = 0;      // start of the attempts at this server, likewise
  uint64_t connected_ = 0;  // monotonic microseconds
  std::vector<Address> destinations_;
  size_t destination_ = 0;
  std::vector<SocketAddress> addresses_;
  size_t address_ = 0;
};

}  // namespace rum
