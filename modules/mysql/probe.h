// Asks a server who it is: reads its greeting, and leaves by a login that fails, since a server
// counts those who only look and shuts out the whole proxy after max_connect_errors of them.
// For --explain: what a user's login would meet.
#pragma once

#include <rum/dialogue.hpp>

#include "mysql/config.h"
#include "mysql/worker.h"

namespace rum::mysql {

// [worker] `config` and `worker` outlive it.
dialogue::Script Probe(dialogue::Dialogue& d, const Config& config, Worker& worker,
                       dialogue::ProbeQuestion question);

}  // namespace rum::mysql
