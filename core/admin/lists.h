// The lists of sessions and users, and /kill, which ends the sessions that it lists.
#pragma once

#include "admin/call.h"

namespace rum::command {

// [main]
void Sessions(const Call& call);
void Kill(const Call& call);
void Users(const Call& call);

}  // namespace rum::command
