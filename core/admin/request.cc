#include "admin/request.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <sys/socket.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <utility>

#include "admin/connections.h"
#include "base/escape.h"

namespace rum {

Request::Request(evhttp_request* request, const bool* handed_over, Connections& connections)
    : request_(request),
      handed_over_(handed_over),
      connections_(connections),
      pairs_(new evkeyvalq) {
  connections_.Asked(request);
  const evhttp_uri* uri = evhttp_request_get_evhttp_uri(request);
  const char* path = uri ? evhttp_uri_get_path(uri) : nullptr;
  const char* query = uri ? evhttp_uri_get_query(uri) : nullptr;
  path_ = path ? path : "";
  if (evhttp_parse_query_str(query ? query : "", pairs_) != 0) unreadable_ = query;
  evhttp_connection_set_closecb(
      evhttp_request_get_connection(request),
      [](evhttp_connection*, void* self) { static_cast<Request*>(self)->request_ = nullptr; },
      this);
}

Request::~Request() {
  if (request_) Reply(500, kPlainText, "internal error: no reply\n");
  evhttp_clear_headers(pairs_);
  delete pairs_;
}

bool Request::post() const { return evhttp_request_get_command(request_) == EVHTTP_REQ_POST; }

std::string_view Request::Header(const char* name) const {
  const char* value =
      request_ ? evhttp_find_header(evhttp_request_get_input_headers(request_), name) : nullptr;
  return value ? value : "";
}

std::string Request::peer() const {
  char* address = nullptr;
  ev_uint16_t port = 0;
  if (request_) {
    evhttp_connection_get_peer(evhttp_request_get_connection(request_), &address, &port);
  }
  return address && port ? address : "unix";
}

std::optional<uid_t> Request::peer_uid() const {
  if (!request_) return std::nullopt;
  bufferevent* stream = evhttp_connection_get_bufferevent(evhttp_request_get_connection(request_));
  ucred peer;
  socklen_t size = sizeof peer;
  if (::getsockopt(bufferevent_getfd(stream), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 ||
      peer.pid == 0) {  // not a unix socket
    return std::nullopt;
  }
  return peer.uid;
}

std::optional<std::string> Request::Get(const char* key) const {
  const char* value = evhttp_find_header(pairs_, key);
  return value ? std::optional<std::string>(value) : std::nullopt;
}

Result<std::optional<uint64_t>> Request::Number(const char* key) const {
  auto text = Get(key);
  if (!text) return std::optional<uint64_t>();
  uint64_t value = 0;
  auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), value);
  if (error != std::errc() || end != text->data() + text->size()) {
    return Error{Fault::kUsage, std::string(key) + " must be a number\n"};
  }
  return std::optional(value);
}

std::optional<std::string> Request::Unknown(std::span<const std::string_view> words) const {
  if (!unreadable_.empty()) return unreadable_;
  for (const evkeyval* pair = pairs_->tqh_first; pair; pair = pair->next.tqe_next) {
    if (std::find(words.begin(), words.end(), pair->key) == words.end()) return pair->key;
  }
  return std::nullopt;
}

void Request::AddHeader(const char* name, const char* value) {
  if (request_) evhttp_add_header(evhttp_request_get_output_headers(request_), name, value);
}

void Request::Reply(int code, const char* type, const std::string& body) {
  evhttp_request* request = std::exchange(request_, nullptr);
  if (!request) return;
  evhttp_connection_set_closecb(evhttp_request_get_connection(request), nullptr, nullptr);
  evkeyvalq* headers = evhttp_request_get_output_headers(request);
  evhttp_add_header(headers, "Content-Type", type);
  evhttp_add_header(headers, "Cache-Control", "no-store");
  evhttp_add_header(headers, "X-Content-Type-Options", "nosniff");
  evhttp_add_header(headers, "Content-Length", std::to_string(body.size()).c_str());
  if (*handed_over_) evhttp_add_header(headers, "Connection", "close");
  // libevent would send a body even for HEAD, and the client would take it for the next answer.
  if (evhttp_request_get_command(request) != EVHTTP_REQ_HEAD) {
    evbuffer_add(evhttp_request_get_output_buffer(request), body.data(), body.size());
  }
  evhttp_send_reply(request, code, nullptr, nullptr);
  connections_.Answered(request);
}

void Request::Reply(const Status& status, const std::string& done) {
  nlohmann::ordered_json json;
  json[status ? "done" : "error"] = status ? done : status.error().text;
  Reply(
      status ? 200 : 500, "application/json",
      ShowJson(json.dump(1, ' ', false, nlohmann::ordered_json::error_handler_t::replace)) + "\n");
}

}  // namespace rum
