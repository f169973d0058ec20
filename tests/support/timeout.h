// Lets tests wait for a condition, with a timeout.
#pragma once

#include <chrono>
#include <functional>
#include <thread>

namespace rum::test {

// Longer than any step takes on a busy machine under a sanitizer: a test that waits this long has
// failed.
inline constexpr std::chrono::seconds kTimeout(30);

// True as soon as `holds` is true; false if the timeout expires.
inline bool Eventually(const std::function<bool()>& holds,
                       std::chrono::milliseconds timeout = kTimeout) {
  auto end = std::chrono::steady_clock::now() + timeout;
  while (!holds()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return true;
}

}  // namespace rum::test
