// HTTP on the main loop: statistics (-m), by which nothing can be changed, and the same with
// commands on a socket that only the owner may open (--control).
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
#include "base/address.h"
#include "base/result.h"
#include "net/inherited_sockets.h"

struct evconnlistener;
struct evhttp;
struct evhttp_bound_socket;
struct evhttp_request;

namespace rum {

class StatisticsServer {
 public:
  // [main] Listens, on a socket out of `inherited` if it is there. `overview` is asked at each
  // request. Without `actions` there are no commands.
  static Result<std::unique_ptr<StatisticsServer>> Open(event_base* base, const Address& address,
                                                        mode_t socket_mode,
                                                        std::function<Overview()> overview,
                                                        std::optional<Actions> actions = {},
                                                        InheritedSockets* inherited = nullptr,
                                                        ConnectionTimes times = {});
  ~StatisticsServer();
  StatisticsServer(const StatisticsServer&) = delete;

  // [main] For another process that is to listen as well.
  SharedSocket ForHandover() const;
  // [main] That process answers from now on; requests that are here already are answered here.
  void HandOver();
  bool handed_over() const { return handed_over_; }

 private:
  StatisticsServer() = default;

  void Serve(evhttp_request* request);
  static void OnAcceptError(evconnlistener*, void* self);
  static void OnRested(evutil_socket_t, short, void* self);

  evhttp* http_ = nullptr;
  std::unique_ptr<Connections> connections_;  // http_'s
  evhttp_bound_socket* bound_ = nullptr;      // http_'s, until it is handed over
  evconnlistener* listener_ = nullptr;        // bound_'s
  event* rested_ = nullptr;
  Address address_;
  bool keep_file_ = false;  // of a unix socket
  SocketFile file_;
  bool handed_over_ = false;
  std::function<Overview()> overview_;
  std::optional<Actions> actions_;
  std::unique_ptr<History> history_;
};

}  // namespace rum
