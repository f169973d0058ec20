// Statistics over HTTP (-m), on the main loop. Nothing can be changed by it.
#pragma once

#include <event2/event.h>
#include <sys/stat.h>

#include <functional>
#include <memory>

#include "admin/statistics.h"
#include "base/address.h"
#include "base/result.h"
#include "daemon/inherited_sockets.h"

struct evconnlistener;
struct evhttp;
struct evhttp_bound_socket;

namespace rum {

class StatisticsServer {
 public:
  // [main] Listens, on a socket out of `inherited` if it is there. `overview` is asked at each
  // request.
  static Result<std::unique_ptr<StatisticsServer>> Open(event_base* base, const Address& address,
                                                        mode_t socket_mode,
                                                        std::function<Overview()> overview,
                                                        InheritedSockets* inherited = nullptr);
  ~StatisticsServer();
  StatisticsServer(const StatisticsServer&) = delete;

  // [main] For another process that is to listen as well.
  HandoverNote::Socket ForHandover() const;
  // [main] That process answers from now on; requests that are here already are answered here.
  void HandOver();
  bool handed_over() const { return !bound_; }

 private:
  StatisticsServer() = default;

  evhttp* http_ = nullptr;
  static void OnAcceptError(evconnlistener*, void* self);
  static void OnRested(evutil_socket_t, short, void* self);

  evhttp_bound_socket* bound_ = nullptr;  // http_'s; nullptr: handed over
  evconnlistener* listener_ = nullptr;    // bound_'s
  event* rested_ = nullptr;
  Address address_;
  bool keep_file_ = false;  // of a unix socket
  std::function<Overview()> overview_;
};

}  // namespace rum
