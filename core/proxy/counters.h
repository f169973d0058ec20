// The counters of one worker. Only its thread writes them; readers sum up those of all workers. No
// two threads write the same cache line, and no instruction is locked.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "base/close_reasons.h"
#include "base/counter.h"
#include "base/histogram.h"
#include "limits/refusals.h"
#include "limits/verdicts.h"

namespace rum {

inline constexpr std::array<uint64_t, 14> kLoginBounds = {
    500,    1000,   2500,   5000,    10000,   25000,   50000,
    100000, 250000, 500000, 1000000, 2500000, 5000000, 10000000};
inline constexpr std::array<uint64_t, 9> kSessionBounds = {100000,     1000000,     10000000,
                                                           60000000,   300000000,   1800000000,
                                                           3600000000, 14400000000, 86400000000};

struct alignas(64) Counters {
  Counter accepted;          // connections from listeners given to this worker
  Counter active;            // current sessions
  Counter relaying;          // of these, in the relay
  Counter connecting;        // of these, waiting for a server
  Counter logins;            // successful logins, or sessions of modules without logins
  Counter connects;          // connections made to servers
  Counter connect_failures;  // failed attempts on one address
  Counter throttled;         // sessions that waited for the connect throttle
  Counter lookups, lookup_misses, lookup_failures;
  Counter client_bytes;     // received from clients
  Counter upstream_bytes;   // received from servers
  Counter spliced_bytes;    // of these, moved by splice
  Counter refused;          // clients refused before a session existed
  Counter kept;             // connections to servers that are kept for the next session, now
  Counter kept_taken;       // of these, taken by one
  Counter kept_lost;        // of these, ended by the server
  Counter probes;           // sessions without a client, counted nowhere else
  Counter accept_failures;  // failures of accept(2), such as out of descriptors
  Counter login_failures;   // reported by the module
  Counter login_blocks;     // of these, those that blocked the client's address
  Counter logins_refused[kAdmissionVerdictCount + 1];  // by verdict; [0] is unused
  Counter clients_refused[kRefusalCount + 1];          // by refusal; [0] is unused
  Counter ended[kCloseReasonCount + 1];                // ended sessions by reason; [0] is unused
  Histogram<kLoginBounds> lookup_times;          // from accept to the first attempt to connect
  Histogram<kLoginBounds> connect_times;         // until a server was connected
  Histogram<kLoginBounds> authentication_times;  // from connected to the relay
  Histogram<kLoginBounds> login_times;           // from accept to the relay
  Histogram<kSessionBounds> session_times;       // from accept to the end
  std::vector<Counter> module;                   // the module's own, by its table

  void CountRefusal(Refusal refusal) { clients_refused[static_cast<size_t>(refusal)].Add(1); }
};

}  // namespace rum
