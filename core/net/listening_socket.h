// Binds an address and listens on it, or takes over a socket that is already bound to it.
#pragma once

#include <sys/stat.h>

#include "base/address.h"
#include "base/result.h"
#include "net/inherited_sockets.h"

namespace rum {

// Returns a bound, listening, non-blocking socket, from `inherited` if it is there. Resolves names,
// which may block. Replaces the unix socket file of a dead process, but not one that accepts
// connections.
Result<ListeningSocket> OpenListeningSocket(const Address& address, mode_t socket_mode,
                                            InheritedSockets* inherited = nullptr);

}  // namespace rum
