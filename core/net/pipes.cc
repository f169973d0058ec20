#include "net/pipes.h"

#include <fcntl.h>

namespace rum {

std::unique_ptr<Pipe> Pipes::Borrow() {
  if (lent_ >= kMost) return nullptr;
  std::unique_ptr<Pipe> pipe;
  if (!spare_.empty()) {
    pipe = std::move(spare_.back());
    spare_.pop_back();
  } else {
    int ends[2];
    if (::pipe2(ends, O_NONBLOCK | O_CLOEXEC) != 0) return nullptr;
    pipe = std::make_unique<Pipe>();
    pipe->out.reset(ends[0]);
    pipe->in.reset(ends[1]);
    // Beyond the user's soft limit for pipes the size stays small: then a splice moves less at
    // once.
    ::fcntl(ends[1], F_SETPIPE_SZ, kPipeSize);
  }
  ++lent_;
  return pipe;
}

void Pipes::GiveBack(std::unique_ptr<Pipe> pipe) {
  --lent_;
  if (spare_.size() < kSpare) spare_.push_back(std::move(pipe));
}

}  // namespace rum
