// Copies a value out to a caller of the contract who says how much room there is.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "rum/module.h"

namespace rum {

// Before the call `size` is the room at `to`, after it the size of the value. RUM_E_LIMIT: there is
// no room for it, and nothing was written.
inline int32_t CopyOut(std::string_view value, void* to, size_t* size) {
  const size_t room = *size;
  *size = value.size();
  if (value.size() > room) return RUM_E_LIMIT;
  value.copy(static_cast<char*>(to), value.size());
  return RUM_OK;
}

}  // namespace rum
