#include "upstream/resolv_conf.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <sstream>

namespace rum {
namespace {

constexpr size_t kLinesMost = 10000;
constexpr unsigned kNdotsMost = 15;  // as in glibc
constexpr size_t kNameMost = 253;

std::optional<std::string> ServerOf(std::string_view text) {
  std::string_view host = text, port = "53", scope;
  if (text.starts_with('[')) {
    size_t end = text.find(']');
    if (end == text.npos) return std::nullopt;
    host = text.substr(1, end - 1);
    if (text.size() > end + 1) {
      if (text[end + 1] != ':') return std::nullopt;
      port = text.substr(end + 2);
    }
  } else if (std::count(text.begin(), text.end(), ':') == 1) {
    size_t colon = text.find(':');
    host = text.substr(0, colon);
    port = text.substr(colon + 1);
  }
  if (size_t percent = host.find('%'); percent != host.npos) {
    scope = host.substr(percent);
    host = host.substr(0, percent);
  }
  uint16_t number = 0;
  auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), number);
  if (error != std::errc() || end != port.data() + port.size() || number == 0) return std::nullopt;
  const std::string address(host);
  in6_addr raw;
  if (inet_pton(AF_INET, address.c_str(), &raw) == 1) {
    return address + ":" + std::to_string(number);
  }
  if (inet_pton(AF_INET6, address.c_str(), &raw) != 1) return std::nullopt;
  return "[" + address + "]:" + std::to_string(number) + std::string(scope);
}

void AddDomain(std::string_view domain, std::vector<std::string>* search) {
  if (domain.ends_with('.')) domain.remove_suffix(1);
  if (!domain.empty() && search->size() < ResolvConf::kSearchMost) search->emplace_back(domain);
}

}  // namespace

ResolvConf ReadResolvConf(std::istream& in, std::string_view hostname) {
  ResolvConf conf;
  bool has_domain = false;  // a search or domain line was read
  std::string line;
  for (size_t i = 0; i < kLinesMost && std::getline(in, line); ++i) {
    std::istringstream words(line.substr(0, line.find_first_of("#;")));
    std::string key, word;
    words >> key;
    if (key == "nameserver" && words >> word) {
      auto server = ServerOf(word);
      if (server && conf.servers.size() < ResolvConf::kServersMost) conf.servers.push_back(*server);
    } else if (key == "search" || key == "domain") {  // the last line counts
      has_domain = true;
      conf.search.clear();
      while (words >> word) AddDomain(word, &conf.search);
    } else if (key == "options") {
      while (words >> word) {
        constexpr std::string_view kNdots = "ndots:";
        if (!word.starts_with(kNdots)) continue;
        unsigned ndots = 0;
        const char* end = word.data() + word.size();
        if (std::from_chars(word.data() + kNdots.size(), end, ndots).ec == std::errc()) {
          conf.ndots = std::min(ndots, kNdotsMost);
        }
      }
    }
  }
  if (conf.servers.empty()) conf.servers.push_back("127.0.0.1:53");
  if (size_t dot = hostname.find('.'); !has_domain && dot != hostname.npos) {
    AddDomain(hostname.substr(dot + 1), &conf.search);
  }
  return conf;
}

std::vector<std::string> CandidatesOf(const ResolvConf& conf, std::string_view host) {
  if (host.ends_with('.')) return {std::string(host.substr(0, host.size() - 1))};
  std::vector<std::string> all;
  for (const std::string& domain : conf.search) {
    if (host.size() + 1 + domain.size() <= kNameMost)
      all.push_back(std::string(host) + "." + domain);
  }
  const bool first = std::count(host.begin(), host.end(), '.') >= static_cast<long>(conf.ndots);
  all.insert(first ? all.begin() : all.end(), std::string(host));
  return all;
}

}  // namespace rum
