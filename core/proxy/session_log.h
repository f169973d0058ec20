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
// An hour is more than a login can take; longer is as good as an hour.
constexpr uint32_t ShortMicros(uint64_t micros) {
  return static_cast<uint32_t>(micros < 3'600'000'000 ? micros : 3'600'000'000);
}

// [worker] A login is complete (--log-logins).
void LogLogin(const SessionRecord& record, const Listener& listener, const SocketAddress& client,
              uint64_t id, std::string_view destination);

}  // namespace rum
