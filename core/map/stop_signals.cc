#include "map/stop_signals.h"

namespace rum {
namespace {

volatile sig_atomic_t g_stopped = 0;

}  // namespace

// No SA_RESTART: it must interrupt a read from the terminal.
void CatchStopSignals() {
  struct sigaction action = {};
  action.sa_handler = [](int) { g_stopped = 1; };
  for (int number : kStopSignals) sigaction(number, &action, nullptr);
}

bool StopRequested() { return g_stopped != 0; }

}  // namespace rum
