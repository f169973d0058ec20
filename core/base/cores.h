// The number of threads that this process can run in parallel.
#pragma once

#include <optional>
#include <string_view>

namespace rum {

// [any] The number of cores in the process's affinity mask, lowered to the CPU quota of its control
// group. At least 1.
unsigned UsableCores();

// Pure: cores of a cpu.max line ("50000 100000", "max 100000"), rounded up. nullopt: unlimited, or
// not a valid line.
std::optional<unsigned> CoresOfLimit(std::string_view cpu_max);

}  // namespace rum
