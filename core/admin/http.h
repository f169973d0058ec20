// The HTTP servers on the main loop: read-only statistics (-m), and statistics with commands on a
// socket that only the owner can open (--control).
#pragma once

#include <event2/event.h>
#include <sys/stat.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "admin/commands.h"
#include "admin/connections.h"
#include "admin/history.h"
#include "admin/statistics.h"
#include "admin/token.h"
#include "admin/user_history.h"
#include "base/address.h"
#include "base/result.h"
#include "net/inherited_sockets.h"

struct evconnlistener;
struct evhttp;
struct evhttp_bound_socket;
struct evhttp_request;

namespace rum {

class Request;

class StatisticsServer {
 public:
  // [main] Listens, on a socket of `inherited` if it has this address. Calls `overview` for each
  // request. Without `actions`, the server is read-only.
  static Result<std::unique_ptr<StatisticsServer>> Open(event_base* base, const Address& address,
                                                        mode_t socket_mode,
                                                        std::function<Overview()> overview,
                                                        std::optional<Actions> actions = {},
                                                        InheritedSockets* inherited = nullptr,
                                                        ConnectionTimes times = {});
  ~StatisticsServer();
  StatisticsServer(const StatisticsServer&) = delete;

  // [main] Requires the token for everything but the two paths of probes, /live and /ready.
  void SetToken(std::optional<StatisticsToken> token) { token_ = std::move(token); }
  // [main] The certificate of future connections, for an address with TLS.
  void SetTls(std::shared_ptr<const TlsContext> tls) { connections_->SetTls(std::move(tls)); }

  // [main] The socket, for another process that will also listen on it.
  SharedSocket ForHandover() const;
  // [main] Binds a socket of its own beside the first, on which this server goes on after a
  // hand-over; returns its path. Only for unix sockets.
  Result<std::string> PrepareHandOver();
  // [main] There is no hand-over: closes and removes that socket.
  void CancelHandOver();
  // [main] Stops listening on the first socket, since the other process does; requests already
  // received are answered.
  void HandOver();
  bool handed_over() const { return handed_over_; }
  // [main] Whether a client waits for an answer.
  bool busy() const { return connections_->busy(); }

 private:
  StatisticsServer() = default;

  Address OwnAddress() const;
  Status Listen(ListeningSocket socket, const Address& address);
  void Serve(evhttp_request* request);
  bool Admits(Request& request) const;
  void Answer(const std::shared_ptr<Request>& request);
  void AnswerReady(Request& request) const;
  static void OnAcceptError(evconnlistener*, void* self);
  static void OnPauseOver(evutil_socket_t, short, void* self);

  evhttp* http_ = nullptr;
  std::unique_ptr<Connections> connections_;  // of http_
  evhttp_bound_socket* bound_ = nullptr;      // of http_, until the hand-over
  evconnlistener* listener_ = nullptr;        // of bound_
  event* resume_event_ = nullptr;
  Address address_;
  mode_t mode_ = 0;
  bool keep_file_ = false;  // keep the unix socket's file
  SocketFile file_;
  bool handed_over_ = false;
  std::optional<ListeningSocket> own_;  // for the time after the hand-over
  std::function<Overview()> overview_;
  std::optional<Actions> actions_;
  std::optional<StatisticsToken> token_;
  std::unique_ptr<History> history_;
  std::unique_ptr<UserHistory> user_history_;
};

}  // namespace rum
