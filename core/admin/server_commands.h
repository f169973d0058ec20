// Commands about a server or a user: whether a server takes new sessions, and whether new logins
// wait.
#pragma once

#include "admin/call.h"

namespace rum::command {

// [main]
void Ready(const Call& call);
void Drain(const Call& call);
void Maintain(const Call& call);
void Pause(const Call& call);
void Resume(const Call& call);

}  // namespace rum::command
