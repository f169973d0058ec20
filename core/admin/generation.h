// A process from before a hand-over, which ends with its sessions.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <string>

namespace rum {

struct Generation {
  pid_t pid = 0;
  int64_t since = 0;   // of the hand-over, seconds since 1970
  std::string socket;  // its control socket
};

inline constexpr size_t kGenerationsMost = 64;

}  // namespace rum
