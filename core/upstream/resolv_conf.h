// resolv.conf: the name servers, and the candidate names of a host.
#pragma once

#include <istream>
#include <string>
#include <string_view>
#include <vector>

namespace rum {

struct ResolvConf {
  static constexpr size_t kServersMost = 8, kSearchMost = 32;

  std::vector<std::string> servers;  // in c-ares's format: "192.0.2.1:53", "[2001:db8::1]:53"
  std::vector<std::string> search;   // without a final dot
  unsigned ndots = 1;
};

// Reads nameserver (an address, or address:port), search, domain and "options ndots:"; ignores the
// rest. Defaults: server 127.0.0.1, and the domain of `hostname`.
ResolvConf ReadResolvConf(std::istream& in, std::string_view hostname);

// The absolute names that `host` may mean, in query order. A host with a final dot means only
// itself.
std::vector<std::string> CandidatesOf(const ResolvConf& conf, std::string_view host);

}  // namespace rum
