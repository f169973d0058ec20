// How much memory the process has.
#pragma once

#include <cstdint>
#include <optional>

namespace rum {

// [any] Resident, in bytes; nothing when /proc cannot be read. It is opened at the first call in a
// process and kept: later neither a lack of descriptors nor --chroot is in the way.
std::optional<uint64_t> ResidentBytes();

}  // namespace rum
