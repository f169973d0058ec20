// One HTTP request: what it asks, and its answer, now or when others have told.
#pragma once

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

// [main] Answered once. The client may leave before: then the answer goes nowhere.
class Request {
 public:
  // `handed_over` says, when the answer is written, whether the next question is for another
  // process; it and `connections` must outlive this.
  Request(evhttp_request* request, const bool* handed_over, Connections& connections);
  ~Request();
  Request(const Request&) = delete;

  bool post() const;
  std::string_view path() const { return path_; }
  // What stands behind the question mark.
  std::optional<std::string> Get(const char* key) const;
  Result<std::optional<uint64_t>> Number(const char* key) const;  // nothing: it is not given
  // What is asked that is none of these words.
  std::optional<std::string> Unknown(std::span<const std::string_view> words) const;

  void Reply(int code, const char* type, const std::string& body);
  // As JSON: what was done, or the error.
  void Reply(const Status& status, const std::string& done);
  void AddHeader(const char* name, const char* value);

 private:
  evhttp_request* request_;  // nullptr: answered, or its client is gone
  const bool* handed_over_;
  Connections& connections_;
  std::string path_;
  std::string unreadable_;  // what stands behind the question mark, if it is no query
  evkeyvalq* pairs_;
};

}  // namespace rum
