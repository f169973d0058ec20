// Who rum is to a server behind a unix socket.
#pragma once

#include <string>

namespace rum::mysql {

// The name of the system user that this process runs as; empty when it has none. Looked up once,
// which may take its time: a worker asks before its first session.
const std::string& SystemUser();

}  // namespace rum::mysql
