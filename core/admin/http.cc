#include "admin/http.h"

#include <event2/buffer.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <event2/listener.h>
#include <unistd.h>

#include <cstring>
#include <string>

#include "proxy/listener.h"

namespace rum {
namespace {

// One a process: -m takes one address.
StatisticsServer* the_server = nullptr;

constexpr timeval kRest = {0, 200000};
constexpr int kTimeoutSeconds = 10;
constexpr ev_ssize_t kMostBytes = 16 * 1024;  // of a request's head, and of its body

void Reply(evhttp_request* request, int code, const char* type, const std::string& body) {
  evkeyvalq* headers = evhttp_request_get_output_headers(request);
  evhttp_add_header(headers, "Content-Type", type);
  evhttp_add_header(headers, "Cache-Control", "no-store");
  evhttp_add_header(headers, "X-Content-Type-Options", "nosniff");
  // The next question is for the process that has taken over.
  if (the_server->handed_over()) evhttp_add_header(headers, "Connection", "close");
  if (evhttp_request_get_command(request) == EVHTTP_REQ_HEAD) {
    // libevent would send the body too, which the next answer would be taken for.
    evhttp_add_header(headers, "Content-Length", std::to_string(body.size()).c_str());
  } else {
    evbuffer_add(evhttp_request_get_output_buffer(request), body.data(), body.size());
  }
  evhttp_send_reply(request, code, nullptr, nullptr);
}

void Serve(evhttp_request* request, const Overview& overview) {
  const evhttp_uri* uri = evhttp_request_get_evhttp_uri(request);
  const char* path = uri ? evhttp_uri_get_path(uri) : nullptr;
  std::string_view what = path ? path : "";
  constexpr const char* kText = "text/plain; charset=utf-8";
  if (what == "/stats") {
    Reply(request, 200, "application/json", StatisticsJson(overview));
  } else if (what == "/metrics") {
    Reply(request, 200, "text/plain; version=0.0.4; charset=utf-8", StatisticsPrometheus(overview));
  } else if (what == "/live") {
    Reply(request, 200, kText, "alive\n");
  } else if (what == "/ready") {
    std::string why = WhyNotReady(overview);
    Reply(request, why.empty() ? 200 : 503, kText, (why.empty() ? "ready" : why) + "\n");
  } else if (what == "/") {
    Reply(request, 200, kText,
          "rum\n\n/stats    statistics as JSON\n/metrics  the same for Prometheus\n"
          "/live     200 while the process runs\n/ready    200 while clients can be served\n");
  } else {
    Reply(request, 404, kText, "there is /stats, /metrics, /live and /ready\n");
  }
}

}  // namespace

Result<std::unique_ptr<StatisticsServer>> StatisticsServer::Open(event_base* base,
                                                                 const Address& address,
                                                                 mode_t socket_mode,
                                                                 std::function<Overview()> overview,
                                                                 InheritedSockets* inherited) {
  auto socket = OpenListeningSocket(address, socket_mode, inherited);
  if (!socket) return socket.error();
  auto server = std::unique_ptr<StatisticsServer>(new StatisticsServer);
  server->overview_ = std::move(overview);
  server->http_ = evhttp_new(base);
  server->address_ = address;
  server->keep_file_ = socket->keep_file;
  evhttp_set_allowed_methods(server->http_, EVHTTP_REQ_GET | EVHTTP_REQ_HEAD);
  evhttp_set_timeout(server->http_, kTimeoutSeconds);
  evhttp_set_max_headers_size(server->http_, kMostBytes);
  evhttp_set_max_body_size(server->http_, kMostBytes);
  evhttp_set_gencb(
      server->http_,
      [](evhttp_request* request, void* self) {
        Serve(request, static_cast<StatisticsServer*>(self)->overview_());
      },
      server.get());
  server->bound_ = evhttp_accept_socket_with_handle(server->http_, socket->fd.get());
  if (!server->bound_) return Error{Fault::kBind, "cannot serve statistics on " + address.text()};
  (void)socket->fd.release();  // evhttp closes it
  server->rested_ = evtimer_new(base, OnRested, server.get());
  server->listener_ = evhttp_bound_socket_get_listener(server->bound_);
  // evhttp's listener hands its own argument to this callback, so the server is found by it.
  the_server = server.get();
  evconnlistener_set_error_cb(server->listener_, OnAcceptError);
  return server;
}

// Without descriptors libevent would call again at once, for ever.
void StatisticsServer::OnAcceptError(evconnlistener*, void*) {
  evconnlistener_disable(the_server->listener_);
  event_add(the_server->rested_, &kRest);
}

void StatisticsServer::OnRested(evutil_socket_t, short, void* self) {
  evconnlistener_enable(static_cast<StatisticsServer*>(self)->listener_);
}

HandoverNote::Socket StatisticsServer::ForHandover() const {
  return {evhttp_bound_socket_get_fd(bound_), keep_file_, address_};
}

void StatisticsServer::HandOver() {
  event_del(rested_);
  evhttp_del_accept_socket(http_, bound_);
  bound_ = nullptr;
  listener_ = nullptr;
}

StatisticsServer::~StatisticsServer() {
  the_server = nullptr;
  if (rested_) event_free(rested_);
  if (http_) evhttp_free(http_);
  if (bound_ && address_.kind == Address::Kind::kUnix && !keep_file_) {
    ::unlink(address_.host.c_str());
  }
}

}  // namespace rum
