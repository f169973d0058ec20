#include "bench/options.h"

#include <arpa/inet.h>

#include <cstdlib>
#include <functional>
#include <map>

namespace rum::bench {
namespace {

std::optional<sockaddr_in> ReadAddress(const std::string& text) {
  size_t colon = text.rfind(':');
  if (colon == text.npos) return std::nullopt;
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  int port = std::atoi(text.c_str() + colon + 1);
  if (port < 1 || port > 65535) return std::nullopt;
  address.sin_port = htons(static_cast<uint16_t>(port));
  if (::inet_pton(AF_INET, text.substr(0, colon).c_str(), &address.sin_addr) != 1) {
    return std::nullopt;
  }
  return address;
}

// A number from `least` to `most`.
template <class T>
bool ReadNumber(const std::string& text, double least, double most, T& into) {
  char* end = nullptr;
  double number = std::strtod(text.c_str(), &end);
  if (text.empty() || *end || !(number >= least && number <= most)) return false;
  into = static_cast<T>(number);
  return true;
}

}  // namespace

Result<Options> ReadOptions(int argc, char** argv) {
  Options o;
  auto address = [](const std::string& text, auto& into) {
    auto found = ReadAddress(text);
    if (found) into = *found;
    return found.has_value();
  };
  const std::map<std::string, std::function<bool(const std::string&)>> readers = {
      {"--connect", [&](auto& text) { return address(text, o.connect); }},
      {"--backend", [&](auto& text) { return address(text, o.backend); }},
      {"--pid", [&](auto& text) { return ReadNumber(text, 1, 1 << 22, o.pids.emplace_back()); }},
      {"--connections", [&](auto& text) { return ReadNumber(text, 1, 60000, o.connections); }},
      {"--size", [&](auto& text) { return ReadNumber(text, 1, 1 << 20, o.size); }},
      {"--seconds", [&](auto& text) { return ReadNumber(text, 0.01, 3600, o.seconds); }},
      {"--warm", [&](auto& text) { return ReadNumber(text, 0, 60, o.warm); }},
      {"--operations", [&](auto& text) { return ReadNumber(text, 1, 1e12, o.operations); }},
      {"--timeout", [&](auto& text) { return ReadNumber(text, 1, 7200, o.timeout); }},
      {"--users", [&](auto& text) { return ReadNumber(text, 1, 1e7, o.users); }},
      {"--user", [&](auto& text) { return o.user = text, !text.empty(); }},
      {"--password", [&](auto& text) { return o.password = text, true; }},
      {"--names", [&](auto& text) { return o.names = text, !text.empty(); }},
      {"--server-cert", [&](auto& text) { return o.server_cert = text, !text.empty(); }},
      {"--tls",
       [&](auto& text) {
         o.tls = text == "full" ? Options::Tls::kFull : Options::Tls::kResume;
         return text == "full" || text == "resume";
       }},
      {"--direction",
       [&](auto& text) { return o.upload = text == "up", text == "up" || text == "down"; }},
  };
  if (argc < 2) return Error{Fault::kUsage, "which load?"};
  o.what = argv[1];
  for (int i = 2; i < argc; i += 2) {
    auto reader = readers.find(argv[i]);
    if (reader == readers.end() || i + 1 == argc) {
      return Error{Fault::kUsage, std::string(argv[i]) + ": no such option, or no value for it"};
    }
    if (!reader->second(argv[i + 1])) {
      return Error{Fault::kUsage, std::string(argv[i]) + ": '" + argv[i + 1] + "' is not right"};
    }
  }
  if (o.connect.sin_port == 0 && !o.backend) {
    return Error{Fault::kUsage, "--connect HOST:PORT is missing"};
  }
  if (o.timeout == 0) o.timeout = static_cast<unsigned>(o.warm + o.seconds) + 30;
  return o;
}

}  // namespace rum::bench
