// SIGINT, SIGTERM and SIGHUP end a command that cleans up first: temporary files, the terminal's
// echo.
#pragma once

#include <signal.h>

namespace rum {

inline constexpr int kStopSignals[] = {SIGINT, SIGTERM, SIGHUP};

void CatchStopSignals();
// One has come since.
bool StopRequested();

}  // namespace rum
