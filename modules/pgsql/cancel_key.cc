#include "pgsql/cancel_key.h"

#include <openssl/evp.h>
#include <rum/module.h>

namespace rum::pgsql {
namespace {

constexpr char kPlain = 'p', kTls = 't';

}  // namespace

std::string SharedKeyOf(std::string_view id_and_key) {
  if (id_and_key.size() <= RUM_MOST_SHARED_KEY) return std::string(id_and_key);
  std::string hash(EVP_MAX_MD_SIZE, '\0');
  unsigned size = 0;
  if (EVP_Digest(id_and_key.data(), id_and_key.size(),
                 reinterpret_cast<unsigned char*>(hash.data()), &size, EVP_sha256(),
                 nullptr) != 1) {
    size = 0;
  }
  hash.resize(size);
  return hash;
}

std::string BuildCancelTarget(const CancelTarget& target) {
  return (target.asks_for_tls ? kTls : kPlain) + target.destination;
}

std::optional<CancelTarget> ParseCancelTarget(std::string_view value) {
  if (value.size() < 2 || (value.front() != kPlain && value.front() != kTls)) return {};
  return CancelTarget{std::string(value.substr(1)), value.front() == kTls};
}

}  // namespace rum::pgsql
