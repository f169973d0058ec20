// Checks whether a server accepts logins, without a line in its log; and explains where a login
// would go (--explain).
#pragma once

#include <rum/dialogue.hpp>

#include "pgsql/config.h"
#include "pgsql/worker.h"

namespace rum::pgsql {

// [worker]
dialogue::Script Probe(dialogue::Dialogue& d, const Config& config, Worker& worker,
                       dialogue::ProbeQuestion question);

}  // namespace rum::pgsql
