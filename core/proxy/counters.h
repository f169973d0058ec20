// Counters of one worker. Only its thread writes; others read sums. No shared cache line is written
// by two threads, and no instruction is locked.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "base/close_reasons.h"
#include "limits/refusals.h"
#include "limits/verdicts.h"
#include "proxy/counter.h"
#include "proxy/histogram.h"

namespace rum {

inline constexpr std::array<uint64_t, 14> kLoginBounds = {
    500,    1000,   2500,   5000,    10000,   25000,   50000,
    100000, 250000, 500000, 1000000, 2500000, 5000000, 10000000};
inline constexpr std::array<uint64_t, 9> kSessionBounds = {100000,     1000000,     10000000,
                                                           60000000,   300000000,   1800000000,
                                                           3600000000, 14400000000, 86400000000};

struct alignas(64) Counters {
  Counter accepted;          // connections taken from a listener for this worker
  Counter active;            // sessions now
  Counter relaying;          // of these, in the relay
  Counter connecting;        // of these, waiting for a server
  Counter logins;            // sessions whose login succeeded, or whose module has none
  Counter connects;          // connections made to servers
  Counter connect_failures;  // attempts on one address that failed
  Counter throttled;         // sessions that waited for the connect throttle
  Counter lookups, lookup_misses, lookup_failures;
  Counter client_bytes;     // received from clients
  Counter upstream_bytes;   // received from servers
  Counter spliced_bytes;    // of these, moved by splice
  Counter refused;          // clients refused before a session existed
  Counter kept;             // connections to servers that are kept for the next session, now
  Counter kept_taken;       // of these, taken by one
  Counter kept_lost;        // of these, ended by the server
  Counter probes;           // sessions without a client, which no other row counts
  Counter accept_failures;  // accept(2) failed, for lack of descriptors for example
  Counter login_failures;   // told by the module
  Counter login_blocks;     // of these, such that blocked the client's address
  Counter logins_refused[kAdmissionVerdictCount + 1];  // by verdict; [0] is unused
  Counter clients_refused[kRefusalCount + 1];          // by refusal; [0] is unused
  Counter ended[kCloseReasonCount + 1];     // sessions that ended, by reason; [0] is unused
  Histogram<kLoginBounds> connect_times;    // until a server was connected
  Histogram<kLoginBounds> login_times;      // from accept to the relay
  Histogram<kSessionBounds> session_times;  // from accept to the end
  std::vector<Counter> module;              // the module's own, by its table

  void CountRefusal(Refusal refusal) { clients_refused[static_cast<size_t>(refusal)].Add(1); }
};

}  // namespace rum
