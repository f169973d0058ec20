#include "limits/descriptors.h"

#include <errno.h>
#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <cstring>

namespace rum {
namespace {

// Two sides of a session. Pipes are not included: they are only opened from spare descriptors.
constexpr uint64_t kEach = 2;
// Listeners, workers, the log, the map, statistics, name servers, health checks.
constexpr uint64_t kOthers = 200;
constexpr uint64_t kShareWithoutPromise = 4;  // a quarter

}  // namespace

Status SetDescriptorLimit(uint32_t number) {
  rlimit limit;
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return Ok();
  const rlim_t hard = limit.rlim_max;
  limit.rlim_cur = number ? number : hard;
  limit.rlim_max = std::max(limit.rlim_cur, hard);
  if (::setrlimit(RLIMIT_NOFILE, &limit) == 0 || !number) return Ok();
  return Error{Fault::kSystem, fmt::format("--nofile: {} open files are not allowed ({}); the hard "
                                           "limit is {} (ulimit -Hn, LimitNOFILE=)",
                                           number, std::strerror(errno), hard)};
}

std::optional<std::string> DescriptorsMissing(uint32_t max_connections, uint64_t limit) {
  const uint64_t need = kEach * max_connections + kOthers;
  if (!max_connections || limit >= need) return std::nullopt;
  uint64_t enough = limit > kOthers ? (limit - kOthers) / kEach : 0;
  std::string lower =
      enough ? fmt::format(", or lower --max-connections to {}", enough) : std::string();
  return fmt::format(
      "--max-connections {} may need {} open files and the limit is {}: raise it to {} (--nofile, "
      "ulimit -Hn, LimitNOFILE=){}",
      max_connections, need, limit, need, lower);
}

uint64_t SpareDescriptors(uint32_t max_connections, uint64_t limit) {
  if (!max_connections) return limit / kShareWithoutPromise;
  const uint64_t need = kEach * max_connections + kOthers;
  return limit > need ? limit - need : 0;
}

uint64_t SpareDescriptors(uint32_t max_connections) {
  return SpareDescriptors(max_connections, DescriptorLimit());
}

bool IsShortage(int error) {
  return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

uint64_t DescriptorLimit() {
  rlimit limit;
  return ::getrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur : RLIM_INFINITY;
}

std::optional<std::string> DescriptorsMissing(uint32_t max_connections) {
  return DescriptorsMissing(max_connections, DescriptorLimit());
}

}  // namespace rum
