#include "ctl/client.h"

#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <nlohmann/json.hpp>

#include "base/fd.h"

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
  std::string request = std::string(method) + " " + what + " HTTP/1.0\r\nContent-Length: 0\r\n\r\n";
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
  size_t head = answer.find("\r\n\r\n");
  if (answer.compare(0, 5, "HTTP/") != 0 || head == answer.npos) {
    return Error{Fault::kSystem, path + ": this is not the control socket of rum"};
  }
  std::string body = answer.substr(head + 4);
  constexpr std::string_view kLength = "\r\nContent-Length: ";
  if (size_t at = answer.find(kLength); at < head) {
    size_t size = std::strtoull(answer.c_str() + at + kLength.size(), nullptr, 10);
    if (body.size() < size) return Error{Fault::kSystem, path + ": the answer is incomplete"};
  }
  if (answer.compare(8, 5, " 200 ") == 0) return body;
  auto json = Json::parse(body, nullptr, false);
  auto error = json.is_object() ? json.find("error") : json.end();
  std::string why = error != json.end() && error->is_string() ? error->get<std::string>() : body;
  while (!why.empty() && why.back() == '\n') why.pop_back();
  return Error{Fault::kConfig, why};
}

}  // namespace rum
