#include "base/http_answer.h"

#include <charconv>
#include <cstddef>
#include <string_view>

namespace rum {

Result<HttpAnswer> ReadHttpAnswer(const std::string& text) {
  constexpr std::string_view kVersion = "HTTP/1.", kLength = "\r\nContent-Length: ";
  const size_t head = text.find("\r\n\r\n");
  HttpAnswer answer;
  if (!text.starts_with(kVersion) || head == text.npos || head < 12 || text[8] != ' ' ||
      std::from_chars(&text[9], &text[12], answer.status).ptr != &text[12]) {
    return Error{Fault::kSystem, "this is not the control socket of rum"};
  }
  answer.body = text.substr(head + 4);
  if (const size_t at = text.find(kLength); at < head) {
    size_t size = 0;
    std::from_chars(&text[at + kLength.size()], &text[head], size);
    if (answer.body.size() < size) return Error{Fault::kSystem, "the answer is incomplete"};
  }
  return answer;
}

std::string HttpRequest(const std::string& method, const std::string& what) {
  return method + " " + what + " HTTP/1.0\r\nContent-Length: 0\r\n\r\n";
}

}  // namespace rum
