// The status page: what /stats tells, for people. Complete without scripts; one of ten lines puts
// the newest in its place every five seconds.
#pragma once

#include <string>

#include "admin/history.h"
#include "admin/statistics.h"

namespace rum {

// [main] An HTML document that needs nothing from outside.
std::string StatusPage(const Overview& overview, const History& history);

}  // namespace rum
