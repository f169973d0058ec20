// Settings about addresses of clients and rum's own, and about limits.
#include <charconv>

#include "settings_reader.h"

namespace rum {
namespace {

// The whole text as a number from `least` to `most`.
bool ReadNumber(const std::string& text, uint32_t least, uint32_t most, uint32_t& number) {
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size() && number >= least &&
         number <= most;
}

}  // namespace

void SettingsReader::ReadClients() {
  ReadNetworks("proxy-from", s_.proxy_from);
  if (auto text = One("send-proxy")) {
    s_.send_proxy = *text == "v1"   ? ProxyVersion::kV1
                    : *text == "v2" ? ProxyVersion::kV2
                                    : ProxyVersion::kOff;
    if (*text != "v1" && *text != "v2" && *text != "off") {
      Wrong("--send-proxy: '" + *text + "' is not off, v1 or v2");
    }
  }
  for (const auto& [name, set] : {std::pair{"allow", &s_.gate.allow}, {"deny", &s_.gate.deny}}) {
    ReadNetworks(name, *set);
    if (!set->has_unix()) continue;
    Wrong(std::string("--") + name +
          ": clients of unix sockets have no address; see --socket-mode");
  }
}

void SettingsReader::ReadNetworks(const char* name, CidrSet& set) {
  for (size_t i = 0; i < Many(name).size(); ++i) {
    if (auto networks = Take(CidrSet::Parse(Many(name)[i]), name, i)) set.Add(*networks);
  }
}

void SettingsReader::ReadSourceAddresses() {
  for (size_t i = 0; i < Many("source-address").size(); ++i) {
    for (std::string rest = Many("source-address")[i] + ","; !rest.empty();) {
      size_t comma = rest.find(',');
      auto address = Take(SocketAddress::Numeric(rest.substr(0, comma), 0), "source-address", i);
      if (address) s_.source_addresses.push_back(*address);
      rest.erase(0, comma + 1);
    }
  }
}

void SettingsReader::ReadLimits() {
  if (auto text = One("nofile");
      text && *text != "auto" && !ReadNumber(*text, 64, 1u << 30, s_.nofile)) {
    Wrong("--nofile: '" + *text + "' is not a number from 64 on, or auto");
  }
  Gate::Settings& gate = s_.gate;
  LoginGuard::Settings& guard = s_.admission.guard;
  for (const auto& [name, most] :
       {std::pair{"max-connections", &gate.max_connections},
        {"max-connections-per-ip", &gate.max_connections_per_ip},
        {"max-connecting", &gate.max_connecting},
        {"max-connecting-per-destination", &gate.max_connecting_per_destination},
        {"max-connections-per-user", &s_.admission.limit.max}}) {
    auto text = One(name);
    if (text && *text != "off" && !ReadNumber(*text, 1, UINT32_MAX, *most)) {
      Wrong(std::string("--") + name + ": '" + *text + "' is not a number from 1 on, or off");
    }
  }
  if (auto text = One("ip-prefix"); text && !ReadNumber(*text, 1, 128, gate.ip_prefix)) {
    Wrong("--ip-prefix: '" + *text + "' is not a number from 1 to 128");
  }
  for (const auto& [name, target] : {std::pair{"user-rate", &s_.admission.limit.rate},
                                     {"login-failures", &guard.failures},
                                     {"connection-rate", &gate.rate},
                                     {"connection-rate-per-ip", &gate.rate_per_ip}}) {
    if (auto text = One(name)) {
      if (auto rate = Take(ParseRate(*text), name)) *target = *rate;
    }
  }
  if (auto text = One("login-block")) {
    if (auto time = Take(ParseDuration(*text), "login-block")) guard.block = *time;
    if (guard.block.count() == 0) {
      Wrong("--login-block: a time is needed; --login-failures off blocks nobody");
    }
  }
  ReadNetworks("login-exempt", guard.exempt);
}

}  // namespace rum
