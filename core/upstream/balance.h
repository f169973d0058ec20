// The order in which --balance tries the servers of a list.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"

namespace rum {

enum class Balance : uint8_t { kFirst, kRoundRobin, kRandom, kLeast, kSource };

// The values of --balance, by number.
inline constexpr std::array<std::string_view, 5> kBalanceWords = {"first", "round-robin", "random",
                                                                  "least", "source"};

struct BalanceInput {
  uint32_t turn = 0;                                            // incremented per client
  uint64_t random = 0;                                          // any number
  std::string client;                                           // its address without the port
  std::function<uint32_t(const std::string& server)> sessions;  // current sessions of a server
};

// [any] Moves the preferred server to the front; the others follow in order of preference. `source`
// keeps a client's server while it is in the list, across processes and machines, and moves only
// the clients of a removed server.
void OrderServers(Balance balance, const BalanceInput& input, std::vector<Address>* servers);

}  // namespace rum
