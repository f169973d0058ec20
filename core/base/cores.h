// How many threads of this process can run at a time.
#pragma once

#include <optional>
#include <string_view>

namespace rum {

// [any] The cores that the process may use, by its affinity, or fewer where its control group
// grants less processor time. At least 1.
unsigned UsableCores();

// Pure: how many cores "50000 100000" or "max 100000", of a file cpu.max, amount to, rounded up.
// Nothing: there is no limit, or it cannot be read.
std::optional<unsigned> CoresOfLimit(std::string_view cpu_max);

}  // namespace rum
