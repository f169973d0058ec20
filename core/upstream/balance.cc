#include "upstream/balance.h"

#include <algorithm>
#include <random>
#include <utility>

namespace rum {
namespace {

// FNV-1a and a final mixing step: without it, similar strings would have similar order.
uint64_t Hash(std::string_view a, std::string_view b) {
  uint64_t hash = 14695981039346656037u;
  auto add = [&hash](std::string_view text) {
    for (char c : text) hash = (hash ^ static_cast<uint8_t>(c)) * 1099511628211u;
    hash *= 1099511628211u;
  };
  add(a);
  add(b);
  hash ^= hash >> 33;
  hash *= 0xff51afd7ed558ccdu;
  return hash ^ hash >> 33;
}

// Sorts by ascending `value`.
template <class Value>
void SortBy(std::vector<Address>* servers, Value value) {
  std::vector<std::pair<decltype(value(servers->front())), Address>> keyed;
  for (Address& server : *servers) keyed.emplace_back(value(server), std::move(server));
  std::stable_sort(keyed.begin(), keyed.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  for (size_t i = 0; i < keyed.size(); ++i) (*servers)[i] = std::move(keyed[i].second);
}

void Rotate(std::vector<Address>* servers, uint32_t turn) {
  auto middle = static_cast<std::ptrdiff_t>(turn % servers->size());
  std::rotate(servers->begin(), servers->begin() + middle, servers->end());
}

}  // namespace

void OrderServers(Balance balance, const BalanceInput& input, std::vector<Address>* servers) {
  if (servers->size() < 2) return;
  switch (balance) {
    case Balance::kFirst:
      break;
    case Balance::kRoundRobin:
      Rotate(servers, input.turn);
      break;
    case Balance::kRandom: {
      std::minstd_rand random(static_cast<uint32_t>(input.random ^ input.random >> 32));
      std::shuffle(servers->begin(), servers->end(), random);
      break;
    }
    case Balance::kLeast:
      Rotate(servers, input.turn);  // spreads servers with equal counts
      SortBy(servers, [&](const Address& server) { return input.sessions(server.text()); });
      break;
    case Balance::kSource:
      SortBy(servers, [&](const Address& server) { return Hash(input.client, server.text()); });
      break;
  }
}

}  // namespace rum
