// Statistics over HTTP (-m), on the main loop. Nothing can be changed by it.
#pragma once

#include <event2/event.h>
#include <sys/stat.h>

#include <functional>
#include <memory>
#include <set>
#include <string>

#include "admin/history.h"
#include "admin/statistics.h"
#include "base/address.h"
#include "base/result.h"

struct evconnlistener;
struct evhttp;
struct evhttp_request;

namespace rum {

class StatisticsServer {
 public:
  // [main] Listens. `overview` is asked at each request.
  static Result<std::unique_ptr<StatisticsServer>> Open(event_base* base, const Address& address,
                                                        mode_t socket_mode,
                                                        std::function<Overview()> overview);
  ~StatisticsServer();
  StatisticsServer(const StatisticsServer&) = delete;

 private:
  StatisticsServer() = default;

  void Serve(evhttp_request* request);
  void ServeSessions(evhttp_request* request);
  static void OnAcceptError(evconnlistener*, void* self);
  static void OnRested(evutil_socket_t, short, void* self);

  evhttp* http_ = nullptr;
  evconnlistener* listener_ = nullptr;  // http_'s
  event* rested_ = nullptr;
  std::string path_;  // of a unix socket, to remove
  std::function<Overview()> overview_;
  std::unique_ptr<History> history_;
  struct Pending;
  std::set<std::shared_ptr<Pending>> pending_;  // requests that wait for the workers
};

}  // namespace rum
