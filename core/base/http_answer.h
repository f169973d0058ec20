// The answer of an HTTP server that closes the connection after it.
#pragma once

#include <string>

#include "base/result.h"

namespace rum {

struct HttpAnswer {
  int status = 0;
  std::string body;
};

// `text`: all that was received. Fails if it is no HTTP, or shorter than its Content-Length.
Result<HttpAnswer> ReadHttpAnswer(const std::string& text);

// The request for it: `what` is a path with a query.
std::string HttpRequest(const std::string& method, const std::string& what);

}  // namespace rum
