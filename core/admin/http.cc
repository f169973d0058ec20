#include "admin/http.h"

#include <event2/buffer.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <event2/listener.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <iterator>
#include <map>
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

// By their listeners: -m and --control.
std::map<evconnlistener*, StatisticsServer*> the_servers;

constexpr timeval kRest = {0, 200000};
constexpr int kTimeoutSeconds = 10;
constexpr const char* kText = "text/plain; charset=utf-8";
constexpr size_t kSessionsTold = 1000;
constexpr ev_ssize_t kMostBytes = 16 * 1024;  // of a request's head, and of its body

void Reply(evhttp_request* request, int code, const char* type, const std::string& body) {
  evkeyvalq* headers = evhttp_request_get_output_headers(request);
  evhttp_add_header(headers, "Content-Type", type);
  evhttp_add_header(headers, "Cache-Control", "no-store");
  evhttp_add_header(headers, "X-Content-Type-Options", "nosniff");
  // When they are handed over the next question is for the other process.
  if (the_servers.empty()) evhttp_add_header(headers, "Connection", "close");
  if (evhttp_request_get_command(request) == EVHTTP_REQ_HEAD) {
    // libevent would send the body too, which the next answer would be taken for.
    evhttp_add_header(headers, "Content-Length", std::to_string(body.size()).c_str());
  } else {
    evbuffer_add(evhttp_request_get_output_buffer(request), body.data(), body.size());
  }
  evhttp_send_reply(request, code, nullptr, nullptr);
}

constexpr std::string_view kFilters[] = {"id", "user", "ip", "destination"};
constexpr std::string_view kLevels[] = {"error", "warning", "info", "debug"};

// What stands behind the question mark.
class Query {
 public:
  explicit Query(evhttp_request* request) {
    const char* text = evhttp_uri_get_query(evhttp_request_get_evhttp_uri(request));
    evhttp_parse_query_str(text ? text : "", &pairs_);
  }
  ~Query() { evhttp_clear_headers(&pairs_); }
  Query(const Query&) = delete;

  std::optional<std::string> Get(const char* name) const {
    const char* value = evhttp_find_header(&pairs_, name);
    return value ? std::optional<std::string>(value) : std::nullopt;
  }
  // Nothing when it is not given.
  Result<std::optional<uint64_t>> Number(const char* name) const {
    auto text = Get(name);
    if (!text) return std::optional<uint64_t>();
    uint64_t value = 0;
    auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), value);
    if (error != std::errc() || end != text->data() + text->size()) {
      return Error{Fault::kUsage, "id and limit are numbers\n"};
    }
    return std::optional(value);
  }
  // What is asked that is none of these words.
  template <size_t kCount>
  std::optional<std::string> Unknown(const std::string_view (&words)[kCount]) const {
    for (const evkeyval* pair = pairs_.tqh_first; pair; pair = pair->next.tqe_next) {
      if (std::find(words, words + kCount, std::string_view(pair->key)) == words + kCount) {
        return pair->key;
      }
    }
    return std::nullopt;
  }

 private:
  evkeyvalq pairs_;
};

void Answer(evhttp_request* request, const Status& status, const std::string& done) {
  nlohmann::ordered_json json;
  json[status ? "done" : "error"] = status ? done : status.error().text;
  Reply(request, status ? 200 : 500, "application/json",
        json.dump(1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n");
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

// Until the workers have answered the client may leave, and its request with it.
struct Pending {
  evhttp_request* request;
};

}  // namespace

void StatisticsServer::Serve(evhttp_request* request) {
  const evhttp_uri* uri = evhttp_request_get_evhttp_uri(request);
  const char* path = uri ? evhttp_uri_get_path(uri) : nullptr;
  std::string_view what = path ? path : "";
  if (evhttp_request_get_command(request) == EVHTTP_REQ_POST) {
    if (!Act(request, what)) Reply(request, 404, kText, "there is no such command\n");
    return;
  }
  if (what == "/stats") {
    Reply(request, 200, "application/json", StatisticsJson(overview_()));
  } else if (what == "/metrics") {
    Reply(request, 200, "text/plain; version=0.0.4; charset=utf-8",
          StatisticsPrometheus(overview_()));
  } else if (what == "/sessions") {
    AskSessions(request, 0);
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

// Commands are POSTs, so that no link and no page can give them.
bool StatisticsServer::Act(evhttp_request* request, std::string_view what) {
  if (what == "/kill") {
    AskSessions(request, RUM_CLOSE_KILLED);
  } else if (what == "/reload") {
    Answer(request, actions_->reload(), "read again");
  } else if (what == "/drain") {
    Answer(request, Ok(), "draining");
    actions_->drain();
  } else if (what == "/upgrade") {
    Answer(request, actions_->upgrade(), "a new process is starting, the log tells how it went");
  } else if (what == "/log") {
    std::string word = Query(request).Get("level").value_or("");
    auto level = std::find(std::begin(kLevels), std::end(kLevels), word);
    if (level == std::end(kLevels)) {
      Reply(request, 400, kText, "level is error, warning, info or debug\n");
    } else {
      auto set = actions_->set_log_level(static_cast<log::Level>(level - std::begin(kLevels)));
      Answer(request, set, "level " + word);
    }
  } else {
    return false;
  }
  return true;
}

void StatisticsServer::AskSessions(evhttp_request* request, uint32_t end) {
  Query query(request);
  SessionFilter filter;
  filter.user = query.Get("user");
  filter.ip = query.Get("ip");
  filter.destination = query.Get("destination");
  auto id = query.Number("id"), most = query.Number("limit");
  for (const auto& number : {id, most}) {
    if (!number) return Reply(request, 400, kText, number.error().text);
  }
  // A filter that is mistyped must not let more sessions end.
  if (end && query.Unknown(kFilters)) {
    return Reply(request, 400, kText, "say which by id, user, ip or destination alone\n");
  }
  filter.id = *id;
  if (end && !filter.user && !filter.ip && !filter.destination && !filter.id) {
    return Reply(request, 400, kText, "say which: id, user, ip or destination\n");
  }
  auto pending = std::make_shared<Pending>(Pending{request});
  evhttp_connection_set_closecb(
      evhttp_request_get_connection(request),
      [](evhttp_connection*, void* lost) { static_cast<Pending*>(lost)->request = nullptr; },
      pending.get());
  overview_().proxy.lister().Ask(
      std::move(filter), most->value_or(kSessionsTold), end, [pending](SessionList list) {
        if (!pending->request) return;
        evhttp_connection_set_closecb(evhttp_request_get_connection(pending->request), nullptr,
                                      nullptr);
        Reply(pending->request, 200, "application/json", SessionsJson(list));
      });
}

Result<std::unique_ptr<StatisticsServer>> StatisticsServer::Open(event_base* base,
                                                                 const Address& address,
                                                                 mode_t socket_mode,
                                                                 std::function<Overview()> overview,
                                                                 std::optional<Actions> actions,
                                                                 InheritedSockets* inherited) {
  auto socket = OpenListeningSocket(address, socket_mode, inherited);
  if (!socket) return socket.error();
  auto server = std::unique_ptr<StatisticsServer>(new StatisticsServer);
  server->overview_ = std::move(overview);
  server->actions_ = std::move(actions);
  server->history_ = std::make_unique<History>(
      base, [self = server.get()] { return TakeSample(self->overview_().proxy); });
  server->http_ = evhttp_new(base);
  server->address_ = address;
  server->keep_file_ = socket->keep_file;
  evhttp_set_allowed_methods(
      server->http_,
      static_cast<ev_uint16_t>(EVHTTP_REQ_GET | EVHTTP_REQ_HEAD |
                               (server->actions_ ? static_cast<int>(EVHTTP_REQ_POST) : 0)));
  evhttp_set_timeout(server->http_, kTimeoutSeconds);
  evhttp_set_max_headers_size(server->http_, kMostBytes);
  evhttp_set_max_body_size(server->http_, kMostBytes);
  evhttp_set_gencb(
      server->http_,
      [](evhttp_request* request, void* self) {
        static_cast<StatisticsServer*>(self)->Serve(request);
      },
      server.get());
  server->bound_ = evhttp_accept_socket_with_handle(server->http_, socket->fd.get());
  if (!server->bound_) return Error{Fault::kBind, "cannot serve statistics on " + address.text()};
  (void)socket->fd.release();  // evhttp closes it
  server->rested_ = evtimer_new(base, OnRested, server.get());
  server->listener_ = evhttp_bound_socket_get_listener(server->bound_);
  // evhttp's listener hands its own argument to this callback, so the server is found by it.
  the_servers[server->listener_] = server.get();
  evconnlistener_set_error_cb(server->listener_, OnAcceptError);
  return server;
}

// Without descriptors libevent would call again at once, for ever.
void StatisticsServer::OnAcceptError(evconnlistener* listener, void*) {
  evconnlistener_disable(listener);
  event_add(the_servers.at(listener)->rested_, &kRest);
}

void StatisticsServer::OnRested(evutil_socket_t, short, void* self) {
  evconnlistener_enable(static_cast<StatisticsServer*>(self)->listener_);
}

HandoverNote::Socket StatisticsServer::ForHandover() const {
  return {evhttp_bound_socket_get_fd(bound_), keep_file_, address_};
}

void StatisticsServer::HandOver() {
  event_del(rested_);
  the_servers.erase(listener_);
  evhttp_del_accept_socket(http_, bound_);
  bound_ = nullptr;
  listener_ = nullptr;
}

StatisticsServer::~StatisticsServer() {
  the_servers.erase(listener_);
  if (rested_) event_free(rested_);
  if (http_) evhttp_free(http_);
  if (bound_ && address_.kind == Address::Kind::kUnix && !keep_file_) {
    ::unlink(address_.host.c_str());
  }
}

}  // namespace rum
