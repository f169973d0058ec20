// Probes a server: reads its greeting, and leaves by a login that fails, as servers count mere
// connections as errors and block the whole proxy after max_connect_errors of them. For --explain:
// reports what a user's login would meet.
#pragma once

#include <rum/dialogue.hpp>

#include "mysql/config.h"
#include "mysql/worker.h"

namespace rum::mysql {

// [worker] `config` and `worker` outlive it.
dialogue::Script Probe(dialogue::Dialogue& d, const Config& config, Worker& worker,
                       dialogue::ProbeQuestion question);

}  // namespace rum::mysql
