// resolv.conf: which name servers there are, and which names a host may stand for.
#pragma once

#include <istream>
#include <string>
#include <string_view>
#include <vector>

namespace rum {

struct ResolvConf {
  static constexpr size_t kServersMost = 8, kSearchMost = 32;

  std::vector<std::string> servers;  // as c-ares reads them: "192.0.2.1:53", "[2001:db8::1]:53"
  std::vector<std::string> search;   // without a final dot
  unsigned ndots = 1;
};

// Reads nameserver (an address, or address:port), search, domain and "options ndots:"; the rest is
// skipped. Without a server it is 127.0.0.1; without a domain it is that of `hostname`.
ResolvConf ReadResolvConf(std::istream& in, std::string_view hostname);

// The absolute names that `host` may stand for, in the order to ask for them. One with a final dot
// stands for itself only.
std::vector<std::string> CandidatesOf(const ResolvConf& conf, std::string_view host);

}  // namespace rum
