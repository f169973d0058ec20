// Binds an address and listens there, or takes the socket over that is bound to it already.
#pragma once

#include <sys/stat.h>

#include "base/address.h"
#include "base/result.h"
#include "net/inherited_sockets.h"

namespace rum {

// A bound, listening, non-blocking socket, out of `inherited` if it is there. A name is resolved
// here, which may block. A unix socket's file left by a dead process is replaced; one that somebody
// answers on is not.
Result<ListeningSocket> OpenListeningSocket(const Address& address, mode_t socket_mode,
                                            InheritedSockets* inherited = nullptr);

}  // namespace rum
