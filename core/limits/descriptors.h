// The limit of open files: descriptors are what a proxy runs out of first.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"

namespace rum {

// Pure: how many descriptors of so many are promised to no client and needed for nothing else. With
// `max_connections` 0 nobody is promised any, and it is the share that sessions can do without.
uint64_t SpareDescriptors(uint32_t max_connections, uint64_t limit);
uint64_t SpareDescriptors(uint32_t max_connections);

// [main] Sets it; 0: to all that the system allows.
Status SetDescriptorLimit(uint32_t number);

// [main] The limit that holds now.
uint64_t DescriptorLimit();

// [main] What an operator must change for so many clients at a time; with a given limit pure.
// Nothing: there is enough, or `max_connections` is 0.
std::optional<std::string> DescriptorsMissing(uint32_t max_connections, uint64_t limit);
std::optional<std::string> DescriptorsMissing(uint32_t max_connections);

}  // namespace rum
