// Simulates a process with hardly any descriptors left.
#pragma once

#include <sys/resource.h>
#include <unistd.h>

#include <utility>
#include <vector>

#include "base/fd.h"

namespace rum::test {

// Leaves the process only `left` descriptors during its lifetime.
class FewDescriptors {
 public:
  explicit FewDescriptors(size_t left) {
    ::getrlimit(RLIMIT_NOFILE, &old_);
    int highest = ::dup(0);
    ::close(highest);
    for (;;) {  // only numbers below the limit count: fill the gaps
      Fd fd(::dup(0));
      if (fd.get() > highest + 64) break;
      fillers_.push_back(std::move(fd));
    }
    rlimit few = old_;
    few.rlim_cur = static_cast<rlim_t>(fillers_.back().get()) + 1;
    ::setrlimit(RLIMIT_NOFILE, &few);
    for (size_t i = 0; i < left; ++i) fillers_.pop_back();
  }
  ~FewDescriptors() { ::setrlimit(RLIMIT_NOFILE, &old_); }
  void Take() { fillers_.emplace_back(::dup(0)); }

 private:
  rlimit old_;
  std::vector<Fd> fillers_;
};

}  // namespace rum::test
