#include "admin/http.h"

#include <event2/buffer.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <event2/listener.h>
#include <unistd.h>

#include <charconv>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "admin/page.h"
#include "admin/totals.h"
#include "proxy/listener.h"
#include "proxy/proxy.h"
#include "proxy/session_list.h"

namespace rum {
namespace {

// One a process: -m takes one address.
StatisticsServer* the_server = nullptr;

constexpr timeval kRest = {0, 200000};
constexpr int kTimeoutSeconds = 10;
constexpr size_t kSessionsTold = 1000;
constexpr ev_ssize_t kMostBytes = 16 * 1024;  // of a request's head, and of its body

void Reply(evhttp_request* request, int code, const char* type, const std::string& body) {
  evkeyvalq* headers = evhttp_request_get_output_headers(request);
  evhttp_add_header(headers, "Content-Type", type);
  evhttp_add_header(headers, "Cache-Control", "no-store");
  evhttp_add_header(headers, "X-Content-Type-Options", "nosniff");
  if (evhttp_request_get_command(request) == EVHTTP_REQ_HEAD) {
    // libevent would send the body too, which the next answer would be taken for.
    evhttp_add_header(headers, "Content-Length", std::to_string(body.size()).c_str());
  } else {
    evbuffer_add(evhttp_request_get_output_buffer(request), body.data(), body.size());
  }
  evhttp_send_reply(request, code, nullptr, nullptr);
}

// What the query says of `name`; nothing: not a word.
std::optional<std::string> Asked(const evkeyvalq& query, const char* name) {
  const char* value = evhttp_find_header(&query, name);
  return value ? std::optional<std::string>(value) : std::nullopt;
}

std::string SessionsJson(const SessionList& list) {
  nlohmann::ordered_json json = {{"matched", list.matched},
                                 {"sessions", nlohmann::ordered_json::array()}};
  for (const SessionEntry& entry : list.entries) {
    nlohmann::ordered_json one = {{"id", entry.id},
                                  {"client", entry.client},
                                  {"listener", entry.listener},
                                  {"state", entry.state},
                                  {"seconds", static_cast<double>(entry.micros) / 1e6},
                                  {"received", entry.received},
                                  {"sent", entry.sent}};
    if (entry.user) one["user"] = *entry.user;
    if (!entry.destination.empty()) one["destination"] = entry.destination;
    json["sessions"].push_back(std::move(one));
  }
  return json.dump(1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace

// Until the workers have answered the client may leave, and its request with it.
struct StatisticsServer::Pending {
  evhttp_request* request;
};

void StatisticsServer::Serve(evhttp_request* request) {
  const evhttp_uri* uri = evhttp_request_get_evhttp_uri(request);
  const char* path = uri ? evhttp_uri_get_path(uri) : nullptr;
  std::string_view what = path ? path : "";
  constexpr const char* kText = "text/plain; charset=utf-8";
  if (what == "/stats") {
    Reply(request, 200, "application/json", StatisticsJson(overview_()));
  } else if (what == "/metrics") {
    Reply(request, 200, "text/plain; version=0.0.4; charset=utf-8",
          StatisticsPrometheus(overview_()));
  } else if (what == "/sessions") {
    ServeSessions(request);
  } else if (what == "/live") {
    Reply(request, 200, kText, "alive\n");
  } else if (what == "/ready") {
    std::string why = WhyNotReady(overview_());
    Reply(request, why.empty() ? 200 : 503, kText, (why.empty() ? "ready" : why) + "\n");
  } else if (what == "/") {
    evhttp_add_header(evhttp_request_get_output_headers(request), "Content-Security-Policy",
                      "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
                      "connect-src 'self'; frame-ancestors 'none'");
    Reply(request, 200, "text/html; charset=utf-8", StatusPage(overview_(), *history_));
  } else {
    Reply(request, 404, kText, "there is /, /stats, /sessions, /metrics, /live and /ready\n");
  }
}

void StatisticsServer::ServeSessions(evhttp_request* request) {
  const char* text = evhttp_uri_get_query(evhttp_request_get_evhttp_uri(request));
  evkeyvalq query;
  evhttp_parse_query_str(text ? text : "", &query);
  SessionFilter filter = {Asked(query, "user"), Asked(query, "ip"), Asked(query, "destination")};
  std::string limit = Asked(query, "limit").value_or(std::to_string(kSessionsTold));
  evhttp_clear_headers(&query);
  size_t most = 0;
  auto [end, error] = std::from_chars(limit.data(), limit.data() + limit.size(), most);
  if (error != std::errc() || end != limit.data() + limit.size()) {
    return Reply(request, 400, "text/plain; charset=utf-8", "limit is a number\n");
  }
  auto pending = std::make_shared<Pending>(Pending{request});
  pending_.insert(pending);
  evhttp_connection_set_closecb(
      evhttp_request_get_connection(request),
      [](evhttp_connection*, void* lost) { static_cast<Pending*>(lost)->request = nullptr; },
      pending.get());
  overview_().proxy.lister().Ask(std::move(filter), most, [this, pending](SessionList list) {
    pending_.erase(pending);
    if (!pending->request) return;
    evhttp_connection_set_closecb(evhttp_request_get_connection(pending->request), nullptr,
                                  nullptr);
    Reply(pending->request, 200, "application/json", SessionsJson(list));
  });
}

Result<std::unique_ptr<StatisticsServer>> StatisticsServer::Open(
    event_base* base, const Address& address, mode_t socket_mode,
    std::function<Overview()> overview) {
  auto fd = OpenListeningSocket(address, socket_mode);
  if (!fd) return fd.error();
  auto server = std::unique_ptr<StatisticsServer>(new StatisticsServer);
  server->overview_ = std::move(overview);
  server->history_ = std::make_unique<History>(
      base, [self = server.get()] { return TakeSample(self->overview_().proxy); });
  server->http_ = evhttp_new(base);
  if (address.kind == Address::Kind::kUnix) server->path_ = address.host;
  evhttp_set_allowed_methods(server->http_, EVHTTP_REQ_GET | EVHTTP_REQ_HEAD);
  evhttp_set_timeout(server->http_, kTimeoutSeconds);
  evhttp_set_max_headers_size(server->http_, kMostBytes);
  evhttp_set_max_body_size(server->http_, kMostBytes);
  evhttp_set_gencb(
      server->http_,
      [](evhttp_request* request, void* self) {
        static_cast<StatisticsServer*>(self)->Serve(request);
      },
      server.get());
  evhttp_bound_socket* bound = evhttp_accept_socket_with_handle(server->http_, fd->get());
  if (!bound) return Error{Fault::kBind, "cannot serve statistics on " + address.text()};
  (void)fd->release();  // evhttp closes it
  server->rested_ = evtimer_new(base, OnRested, server.get());
  server->listener_ = evhttp_bound_socket_get_listener(bound);
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

StatisticsServer::~StatisticsServer() {
  the_server = nullptr;
  if (rested_) event_free(rested_);
  if (http_) evhttp_free(http_);
  if (!path_.empty()) ::unlink(path_.c_str());
}

}  // namespace rum
