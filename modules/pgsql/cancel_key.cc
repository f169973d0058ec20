#include "pgsql/cancel_key.h"

namespace rum::pgsql {
namespace {

constexpr char kPlain = 'p', kTls = 't';

}  // namespace

std::string BuildCancelTarget(const CancelTarget& target) {
  return (target.asks_for_tls ? kTls : kPlain) + target.destination;
}

std::optional<CancelTarget> ParseCancelTarget(std::string_view value) {
  if (value.size() < 2 || (value.front() != kPlain && value.front() != kTls)) return {};
  return CancelTarget{std::string(value.substr(1)), value.front() == kTls};
}

}  // namespace rum::pgsql
