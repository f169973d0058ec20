// The memory use of the process.
#pragma once

#include <cstdint>
#include <optional>

namespace rum {

// [any] Resident memory in bytes; nullopt if /proc cannot be read. The file is opened by the first
// call and kept open, so that later calls work without free descriptors and after --chroot.
std::optional<uint64_t> ResidentBytes();

}  // namespace rum
