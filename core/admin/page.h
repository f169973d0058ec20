// The status page: the statistics in HTML, with a verdict first. Complete without scripts; a script
// refreshes it every five seconds.
#pragma once

#include <string>

#include "admin/history.h"
#include "admin/statistics.h"

namespace rum {

// [main] An HTML document without external resources.
std::string StatusPage(const Overview& overview, const History& history);

}  // namespace rum
