// Whether clients can be served, and how well: the answer of /ready and the facts of the verdict.
#pragma once

#include <string>

#include "admin/verdict.h"

namespace rum {

struct Overview;
struct ReadyServers;
struct ServerList;

// Empty if at least `wanted` of the servers are up, otherwise the reason. Those in drain or maint
// are not up; those that are not checked yet are. So is one whose circuit is half-open: only a
// client can close it, and no client comes to a node that is not ready.
std::string WhyTooFewServers(const ReadyServers& wanted, const ServerList& servers);

// [main] Empty if clients can be served, otherwise the reason.
std::string WhyNotReady(const Overview& overview, const ServerList& servers);
// [main] Lists the servers only if --ready-servers needs them.
std::string WhyNotReady(const Overview& overview);

// [main] The facts from which the verdict is made; `servers` must outlive them.
VerdictFacts FactsOf(const Overview& overview, const ServerList& servers);

}  // namespace rum
