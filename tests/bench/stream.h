// The two ends of a stream, on either side of the proxy.
#pragma once

#include "bench/loop.h"
#include "bench/meter.h"

namespace rum::bench {

// Sends zeroes until the other end goes away.
class Source : public Watch {
 public:
  Source(Loop& loop, Fd fd);
  void OnEvents(uint32_t events) override;
};

// Takes what comes and counts it, if it is given a window.
class Sink : public Watch {
 public:
  Sink(Loop& loop, Fd fd, Window* window);
  void OnEvents(uint32_t events) override;

 private:
  Window* window_;
};

}  // namespace rum::bench
