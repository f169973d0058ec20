// One HTTP request and its answer, which may follow later.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

struct evhttp_request;
struct evkeyvalq;

namespace rum {

class Connections;

inline constexpr const char* kPlainText = "text/plain; charset=utf-8";

// [main] Answered once. If the client disconnects first, the answer is dropped.
class Request {
 public:
  // `*handed_over`, read when the answer is sent, tells whether another process takes further
  // requests; then the connection is closed. It and `connections` must outlive this.
  Request(evhttp_request* request, const bool* handed_over, Connections& connections);
  ~Request();
  Request(const Request&) = delete;

  bool post() const;
  std::string_view path() const { return path_; }
  // The value of a query parameter.
  std::optional<std::string> Get(const char* key) const;
  Result<std::optional<uint64_t>> Number(const char* key) const;  // nullopt: not given
  // The value of a request header; empty: not sent.
  std::string_view Header(const char* name) const;
  std::string peer() const;  // the address of the other end, without the port
  // The user of the process at the other end of a unix socket.
  std::optional<uid_t> peer_uid() const;
  // The first query parameter not in `words`.
  std::optional<std::string> Unknown(std::span<const std::string_view> words) const;

  void Reply(int code, const char* type, const std::string& body);
  // Answers in JSON: `done`, or the error.
  void Reply(const Status& status, const std::string& done);
  void AddHeader(const char* name, const char* value);

 private:
  evhttp_request* request_;  // nullptr: answered, or the client disconnected
  const bool* handed_over_;
  Connections& connections_;
  std::string path_;
  std::string unreadable_;  // the query string, if it cannot be parsed
  evkeyvalq* pairs_;
};

}  // namespace rum
