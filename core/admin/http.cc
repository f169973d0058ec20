#include "admin/http.h"

#include <event2/http.h>
#include <event2/listener.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "admin/generations.h"
#include "admin/map_sources.h"
#include "admin/page.h"
#include "admin/page_style.h"
#include "admin/readiness.h"
#include "admin/request.h"
#include "admin/totals.h"
#include "base/log.h"
#include "limits/admission.h"
#include "limits/descriptors.h"
#include "net/listening_socket.h"
#include "proxy/proxy.h"

namespace rum {
namespace {

// Finds the server (-m or --control) of a listener.
std::map<evconnlistener*, StatisticsServer*> the_servers;

constexpr timeval kPause = {0, 200000};
constexpr int kTimeoutSeconds = 10;
constexpr ev_ssize_t kMostBytes = 16 * 1024;  // limit of a request's header, and of its body

}  // namespace

// False: the request was answered with 401. It offers both schemes: browsers only ask for
// passwords.
bool StatisticsServer::Admits(Request& request) const {
  const std::string_view what = request.path();
  if (!token_ || what == "/live" || what == "/ready") return true;
  const std::string_view sent = request.Header("Authorization");
  if (token_->IsIn(sent)) return true;
  if (!sent.empty()) log::Warning("statistics: {} sent a wrong token", request.peer());
  request.AddHeader("WWW-Authenticate", "Bearer realm=\"rum\"");
  request.AddHeader("WWW-Authenticate", "Basic realm=\"rum\", charset=\"UTF-8\"");
  request.Reply(
      401, kPlainText,
      "unauthorized: send the token of --stats-token-file as 'Authorization: Bearer TOKEN', "
      "or as the password of any user\n");
  return false;
}

void StatisticsServer::Serve(evhttp_request* raw) {
  auto request = std::make_shared<Request>(raw, &handed_over_, *connections_);
  if (!connections_->IsSafe(raw)) return request->Reply(503, kPlainText, "no memory for TLS\n");
  if (!Admits(*request)) return;
  const Overview overview = overview_();
  if (request->post()) {  // commands require POST, so that no link can give one
    if (actions_ && AnswerCommand(overview, *actions_, request)) return;
    return request->Reply(404, kPlainText, "no such command\n");
  }
  constexpr std::string_view kOfAll[] = {"/", "/stats", "/metrics", "/users"};
  const bool of_all =
      std::find(std::begin(kOfAll), std::end(kOfAll), request->path()) != std::end(kOfAll);
  if (!overview.older || !of_all) return Answer(request);
  overview.older->Refresh([this, request] { Answer(request); });
}

void StatisticsServer::Answer(const std::shared_ptr<Request>& request) {
  const Overview overview = overview_();
  const std::string_view what = request->path();
  if (what == "/stats") {
    request->Reply(200, "application/json", StatisticsJson(overview));
  } else if (what == "/metrics") {
    request->Reply(200, "text/plain; version=0.0.4; charset=utf-8", StatisticsPrometheus(overview));
  } else if (what == "/live") {
    request->Reply(200, kPlainText, "alive\n");
  } else if (what == "/ready") {
    AnswerReady(*request);
  } else if (what == "/") {
    request->AddHeader("Content-Security-Policy", PagePolicy().c_str());
    request->AddHeader("Referrer-Policy", "no-referrer");
    request->Reply(200, "text/html; charset=utf-8", StatusPage(overview, *history_));
  } else if (!AnswerList(overview, *user_history_, request)) {
    request->Reply(
        404, kPlainText,
        "not found; available: /, /stats, /sessions, /users, /limits, /metrics, /live, /ready\n");
  }
}

// Why it is not ready, and which sources are down, has names of machines: with a token it is for
// those who have it.
void StatisticsServer::AnswerReady(Request& request) const {
  const Overview overview = overview_();
  std::string why = WhyNotReady(overview);
  const int code = why.empty() ? 200 : 503;
  if (token_ && !token_->IsIn(request.Header("Authorization"))) {
    why = why.empty() ? "ready" : "not ready; the reason is for those who send the token";
  } else if (why.empty()) {
    why = "ready";
    for (const std::string& fault : SourceFaults(overview.proxy)) why += "; down: " + fault;
  }
  request.Reply(code, kPlainText, why + "\n");
}

Result<std::unique_ptr<StatisticsServer>> StatisticsServer::Open(
    event_base* base, const Address& address, mode_t socket_mode,
    std::function<Overview()> overview, std::optional<Actions> actions, InheritedSockets* inherited,
    ConnectionTimes times) {
  auto socket = OpenListeningSocket(address, socket_mode, inherited);
  if (!socket) return socket.error();
  auto server = std::unique_ptr<StatisticsServer>(new StatisticsServer);
  server->mode_ = socket_mode;
  server->overview_ = std::move(overview);
  server->actions_ = std::move(actions);
  server->history_ = std::make_unique<History>(base, [self = server.get()] {
    const Overview overview = self->overview_();
    Sample sample = TakeSample(overview.proxy);
    if (overview.older) sample.active += overview.older->SumOf(&GenerationState::sessions);
    return sample;
  });
  server->user_history_ = std::make_unique<UserHistory>(base, [self = server.get()](size_t most) {
    return self->overview_().proxy.admission().users().Top(most);
  });
  server->http_ = evhttp_new(base);
  server->connections_ = std::make_unique<Connections>(
      base, server->http_, Connections::MostFor(DescriptorLimit()), times);
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
  server->resume_event_ = evtimer_new(base, OnPauseOver, server.get());
  if (auto listens = server->Listen(std::move(*socket), address); !listens) return listens.error();
  return server;
}

Status StatisticsServer::Listen(ListeningSocket socket, const Address& address) {
  address_ = address;
  keep_file_ = socket.keep_file;
  file_ = socket.file;
  bound_ = evhttp_accept_socket_with_handle(http_, socket.fd.get());
  if (!bound_) return Error{Fault::kBind, "cannot serve statistics on " + address.text()};
  (void)socket.fd.release();  // evhttp owns it
  listener_ = evhttp_bound_socket_get_listener(bound_);
  // The callback's argument is evhttp's own, so it finds the server in the_servers.
  the_servers[listener_] = this;
  evconnlistener_set_error_cb(listener_, OnAcceptError);
  connections_->SetListener(listener_);
  return Ok();
}

// Without free descriptors libevent would call this again at once, endlessly.
void StatisticsServer::OnAcceptError(evconnlistener* listener, void*) {
  evconnlistener_disable(listener);
  event_add(the_servers.at(listener)->resume_event_, &kPause);
}

void StatisticsServer::OnPauseOver(evutil_socket_t, short, void* self) {
  evconnlistener_enable(static_cast<StatisticsServer*>(self)->listener_);
}

SharedSocket StatisticsServer::ForHandover() const {
  return {evhttp_bound_socket_get_fd(bound_), keep_file_, address_};
}

Address StatisticsServer::OwnAddress() const {
  Address beside = address_;
  beside.host += "." + std::to_string(::getpid());
  return beside;
}

Result<std::string> StatisticsServer::PrepareHandOver() {
  const Address beside = OwnAddress();
  if (beside.host.size() >= sizeof(sockaddr_un::sun_path)) {
    return Error{Fault::kBind, "the path '" + beside.host + "' is longer than 107 bytes"};
  }
  auto socket = OpenListeningSocket(beside, mode_);
  if (!socket) return socket.error();
  own_ = std::move(*socket);
  return beside.host;
}

void StatisticsServer::CancelHandOver() {
  if (own_) own_->file.Remove(OwnAddress().host);
  own_.reset();
}

void StatisticsServer::HandOver() {
  event_del(resume_event_);
  the_servers.erase(listener_);
  connections_->SetListener(nullptr);
  evhttp_del_accept_socket(http_, bound_);
  handed_over_ = true;
  bound_ = nullptr;
  listener_ = nullptr;
  if (own_) (void)Listen(std::move(*std::exchange(own_, {})), OwnAddress());
}

// Removes the file while still listening, so that no other process treats it as stale.
StatisticsServer::~StatisticsServer() {
  CancelHandOver();
  the_servers.erase(listener_);
  if (bound_ && !keep_file_) file_.Remove(address_.host);
  if (connections_) connections_->SetListener(nullptr);
  if (resume_event_) event_free(resume_event_);
  if (http_) evhttp_free(http_);
}

}  // namespace rum
