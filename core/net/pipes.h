// Pipes for splice, borrowed by sessions that move bulk data and given back when they turn small.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "base/fd.h"

namespace rum {

inline constexpr size_t kPipeSize = 256 * 1024;

struct Pipe {
  Fd out, in;  // read end, write end
};

// [worker] One per worker.
class Pipes {
 public:
  // nullptr: none to be had (descriptors), go on copying.
  std::unique_ptr<Pipe> Borrow();
  // The pipe must be empty; a pipe that is not goes out of scope instead.
  void GiveBack(std::unique_ptr<Pipe> pipe);

 private:
  static constexpr size_t kSpare = 16;  // kept open for the next
  static constexpr size_t kMost = 256;  // lent at once, so that idle sessions cannot hold them all
  std::vector<std::unique_ptr<Pipe>> spare_;
  size_t lent_ = 0;

 public:
  // A borrowed pipe was destroyed by its borrower.
  void Lost() { --lent_; }
};

}  // namespace rum
