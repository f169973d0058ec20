// How much memory the process has.
#pragma once

#include <cstdint>

namespace rum {

// [any] Resident, in bytes; 0 when /proc cannot be read.
uint64_t ResidentBytes();

}  // namespace rum
