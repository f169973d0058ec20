// The entry of a session in the table of "rum.shared/1": under its id and key, the server to which
// a CancelRequest with them goes. The key is a password for cancelling and is shown nowhere. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace rum::pgsql {

struct CancelTarget {
  std::string destination;    // as connect() takes it
  bool asks_for_tls = false;  // the session has TLS by an SSLRequest, and so has its cancel
};

std::string BuildCancelTarget(const CancelTarget& target);
// nullopt: written by another version of the module.
std::optional<CancelTarget> ParseCancelTarget(std::string_view value);

}  // namespace rum::pgsql
