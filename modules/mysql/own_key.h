// rum's own RSA key, for clients without TLS whose password goes on by TLS: made once in a process,
// when the first of them asks, by a thread of its own, for it takes longer than a worker may.
#pragma once

#include <rum/module.h>

#include <cstdint>

#include "mysql/rsa.h"

namespace rum::mysql {

// [any] nullptr: it has not been made yet. Lives as long as the process.
const RsaKey* FindOwnKey();

// [any] Has it made and ends the pause `ticket` when FindOwnKey() has it, at once if it has: status
// RUM_OK, or RUM_E_FAILED when it could not be made; then the next call tries again. Throws what
// starting a thread throws.
void AwaitOwnKey(const rum_host& host, uint64_t ticket);

// [any] Waits until no thread makes it: before rum, whose calls the thread uses, goes away.
void FinishOwnKey();

}  // namespace rum::mysql
