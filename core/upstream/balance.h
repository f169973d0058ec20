// The order in which the servers of one list are tried, for --balance.
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

// The words of --balance, by number.
inline constexpr std::array<std::string_view, 5> kBalanceWords = {"first", "round-robin", "random",
                                                                  "least", "source"};

struct BalanceInput {
  uint32_t turn = 0;                                            // grows by one with each client
  uint64_t random = 0;                                          // any number
  std::string client;                                           // its address without the port
  std::function<uint32_t(const std::string& server)> sessions;  // how many each has now
};

// [any] Puts the one to try first in front; the others follow in the order in which they would be
// chosen without it. `source` stays as it is for a client while its server is in the list, in every
// process and on every machine, and only clients of a server that is taken out move.
void OrderServers(Balance balance, const BalanceInput& input, std::vector<Address>* servers);

}  // namespace rum
