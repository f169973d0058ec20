// Pipes for splice(2), lent to sessions while they move bulk data.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/fd.h"

namespace rum {

inline constexpr size_t kPipeSize = 256 * 1024;

// Limits the pipes of all workers. Bulk data can also be copied, but a client cannot be served
// without a descriptor.
class PipeBudget {
 public:
  // [any] If the limit shrinks, excess pipes are closed when they are given back.
  void set_most(int64_t most) { most_.store(most, std::memory_order_relaxed); }
  bool Take();
  void GiveBack() { open_.fetch_sub(1, std::memory_order_relaxed); }
  bool exceeded() const {
    return open_.load(std::memory_order_relaxed) > most_.load(std::memory_order_relaxed);
  }

 private:
  std::atomic<int64_t> most_ = INT64_MAX, open_ = 0;
};

struct Pipe {
  explicit Pipe(PipeBudget& budget) : budget(budget) {}
  ~Pipe() {
    out.reset();
    in.reset();
    budget.GiveBack();
  }
  Pipe(const Pipe&) = delete;

  Fd out, in;  // read end, write end
  PipeBudget& budget;
};

// [worker] One per worker.
class Pipes {
 public:
  explicit Pipes(PipeBudget& budget) : budget_(budget) {}

  // nullptr if no descriptors are left for it; the caller keeps copying.
  std::unique_ptr<Pipe> Borrow();
  // The pipe must be empty; destroy a pipe that is not.
  void GiveBack(std::unique_ptr<Pipe> pipe);

 private:
  static constexpr size_t kSpare = 16;  // idle pipes kept open
  static constexpr size_t kMost = 256;  // lent at a time: idle sessions cannot hold them all
  PipeBudget& budget_;
  std::vector<std::unique_ptr<Pipe>> spare_;
  size_t lent_ = 0;

 public:
  // Called when a borrower destroys its pipe.
  void Lost() { --lent_; }
};

}  // namespace rum
