// Connection attributes: pairs of name and value that a client tells in its response, and what rum
// puts before them so that a server can see who stands behind rum.
#pragma once

#include <string>
#include <string_view>

namespace rum::mysql {

// Empty values are left out.
struct ClientFacts {
  std::string_view ip;
  std::string_view port;
  std::string_view user;
};

// The client's attributes behind _client_ip, _client_port and _client_user, since servers may keep
// only the first. Its own of these names go, in whatever case, and with blanks behind them, which
// servers do not tell apart. Pairs that no longer fit kMaxAttributes go, and all that follows one
// that cannot be read.
std::string WithClientFacts(std::string_view attributes, const ClientFacts& facts);

}  // namespace rum::mysql
