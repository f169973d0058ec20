// The last line of a process that its module ends: by a fault such as SIGSEGV, or since a hook
// calls exit(). It names the module, the hook and the session; what the system does then, such as
// writing a core file, is left as it is.
#pragma once

#include <memory>

namespace rum {

// [main, before a module is loaded]
void WatchForFaults();

// A stack for the handlers of the calling thread, so that a hook which recurses without end leaves
// its line too. Made and destroyed on that thread; does nothing if the thread has one already.
class FaultStack {
 public:
  FaultStack();
  ~FaultStack();
  FaultStack(const FaultStack&) = delete;

 private:
  std::unique_ptr<char[]> bytes_;
};

}  // namespace rum
