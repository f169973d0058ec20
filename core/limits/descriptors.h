// The limit of open files, usually the first limit that a proxy reaches.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"

namespace rum {

// Pure: how many of `limit` descriptors are neither reserved for clients nor needed otherwise. With
// `max_connections` 0, nothing is reserved and the result is a fixed share of the limit.
uint64_t SpareDescriptors(uint32_t max_connections, uint64_t limit);
uint64_t SpareDescriptors(uint32_t max_connections);

// [main] Sets the soft limit; 0: raises it to the hard limit.
Status SetDescriptorLimit(uint32_t number);

// Whether a system call has failed for lack of descriptors or of the kernel's memory.
bool IsShortage(int error);

// [main] The current soft limit.
uint64_t DescriptorLimit();

// Explains what to change to serve `max_connections` clients. nullopt: the limit is sufficient, or
// `max_connections` is 0. Pure if a limit is given, else [main].
std::optional<std::string> DescriptorsMissing(uint32_t max_connections, uint64_t limit);
std::optional<std::string> DescriptorsMissing(uint32_t max_connections);

}  // namespace rum
