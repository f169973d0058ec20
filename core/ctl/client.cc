#include "ctl/client.h"

#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>

#include "base/fd.h"
#include "base/http_answer.h"

namespace rum {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kMostBytes = 64 * 1024 * 1024;

}  // namespace

Result<std::string> Ask(const std::string& path, const char* method, const std::string& what,
                        int seconds) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return Error{Fault::kSystem, path + " is too long"};
  std::memcpy(address.sun_path, path.data(), path.size());
  Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const timeval bound = {seconds, 0};
  ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &bound, sizeof bound);
  ::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &bound, sizeof bound);
  if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    return Error{Fault::kSystem,
                 "no rum answers on " + path + ": " + std::strerror(errno) +
                     " (rum --control sock:PATH creates it, -s PATH selects another)"};
  }
  const std::string request = HttpRequest(method, what);
  if (::send(fd.get(), request.data(), request.size(), MSG_NOSIGNAL) !=
      static_cast<ssize_t>(request.size())) {
    return Error{Fault::kSystem, path + ": " + std::strerror(errno)};
  }
  std::string answer;
  char bytes[65536];
  for (ssize_t n; (n = ::read(fd.get(), bytes, sizeof bytes)) != 0;) {
    if (n < 0 || answer.size() > kMostBytes)
      return Error{Fault::kSystem, path + ": the answer is incomplete"};
    answer.append(bytes, static_cast<size_t>(n));
  }
  auto read = ReadHttpAnswer(answer);
  if (!read) return Error{Fault::kSystem, path + ": " + read.error().text};
  std::string& body = read->body;
  if (read->status == 200) return body;
  auto json = Json::parse(body, nullptr, false);
  auto error = json.is_object() ? json.find("error") : json.end();
  std::string why = error != json.end() && error->is_string() ? error->get<std::string>() : body;
  while (!why.empty() && why.back() == '\n') why.pop_back();
  return Error{Fault::kConfig, why};
}

}  // namespace rum
