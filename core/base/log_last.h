// Where LastLine() writes: kept by the log's thread, read by whatever ends the process.
#pragma once

#include <atomic>

namespace rum::log {

// A signal handler may read it at any time. fd -1: standard error only.
struct LastTarget {
  std::atomic<int> fd = -1;
  std::atomic<bool> json = false, is_stderr = false, syslog = false, stream = false;
  std::atomic<bool> journal = false;
};
extern LastTarget last_target;

}  // namespace rum::log
