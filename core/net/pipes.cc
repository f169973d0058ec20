#include "net/pipes.h"

#include <fcntl.h>

namespace rum {

bool PipeBudget::Take() {
  if (open_.fetch_add(1, std::memory_order_relaxed) < most_.load(std::memory_order_relaxed)) {
    return true;
  }
  GiveBack();
  return false;
}

std::unique_ptr<Pipe> Pipes::Borrow() {
  if (lent_ >= kMost) return nullptr;
  std::unique_ptr<Pipe> pipe;
  if (!spare_.empty()) {
    pipe = std::move(spare_.back());
    spare_.pop_back();
  } else {
    if (!budget_.Take()) return nullptr;
    pipe = std::make_unique<Pipe>(budget_);
    int ends[2];
    if (::pipe2(ends, O_NONBLOCK | O_CLOEXEC) != 0) return nullptr;
    pipe->out.reset(ends[0]);
    pipe->in.reset(ends[1]);
    // Past the user's soft limit for pipe memory the pipe stays small, and each splice moves less.
    ::fcntl(ends[1], F_SETPIPE_SZ, kPipeSize);
  }
  ++lent_;
  return pipe;
}

void Pipes::GiveBack(std::unique_ptr<Pipe> pipe) {
  --lent_;
  if (spare_.size() < kSpare && !budget_.exceeded()) spare_.push_back(std::move(pipe));
}

}  // namespace rum
