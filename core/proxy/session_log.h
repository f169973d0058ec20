// The log line for the end of each session, and the one for its login.
#pragma once

#include <cstdint>
#include <string_view>

#include "proxy/session.h"

namespace rum {

struct SessionEnd {
  const SessionRecord& record;
  const Listener& listener;
  const SocketAddress& client;
  uint64_t id;
  std::string_view destination;
  uint64_t opened;  // monotonic microseconds
  uint32_t reason;
  std::string_view text;
  const Side& client_side;
  const Side& upstream_side;
};

// [worker]
void LogSession(const SessionEnd& end);
// [worker] A login is complete (--log-logins).
void LogLogin(const SessionRecord& record, const Listener& listener, const SocketAddress& client,
              uint64_t id, std::string_view destination);

}  // namespace rum
