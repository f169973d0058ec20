// Connection attributes: name-value pairs in a client's response. rum puts its own in front, so
// that servers see the client behind rum.
#pragma once

#include <string>
#include <string_view>

namespace rum::mysql {

// Omits empty values.
struct ClientFacts {
  std::string_view ip;
  std::string_view port;
  std::string_view user;
};

// Returns _client_ip, _client_port and _client_user, then the client's attributes; rum's come first
// since servers may keep only the first ones. Drops the client's own attributes of these names, in
// any case and with trailing blanks, as servers ignore both. Also drops pairs beyond
// kMaxAttributes, and all pairs from the first malformed one on.
std::string WithClientFacts(std::string_view attributes, const ClientFacts& facts);

}  // namespace rum::mysql
