// What is known of an entry of "rum.shared/1" that may be another process's.
#pragma once

#include <cstdint>
#include <string>

namespace rum {

struct SharedAnswer {
  int32_t status = 0;  // as of shared_found in rum/module.h
  std::string value;
};

}  // namespace rum
