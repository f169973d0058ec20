// Counters of one worker. Only its thread writes; others read sums. No shared cache line is written
// by two threads, and no instruction is locked.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "limits/refusals.h"
#include "limits/verdicts.h"
#include "proxy/close_reasons.h"

namespace rum {

class Counter {
 public:
  // [worker]
  void Add(uint64_t delta) {
    value_.store(value_.load(std::memory_order_relaxed) + delta, std::memory_order_relaxed);
  }
  void Sub(uint64_t delta) { Add(0 - delta); }
  // [any]
  uint64_t get() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> value_ = 0;
};

struct alignas(64) Counters {
  Counter accepted;          // connections taken from a listener for this worker
  Counter active;            // sessions now
  Counter relaying;          // of these, in the relay
  Counter connecting;        // of these, waiting for a server
  Counter connects;          // connections made to servers
  Counter connect_failures;  // attempts on one address that failed
  Counter lookups, lookup_misses, lookup_failures;
  Counter client_bytes;     // received from clients
  Counter upstream_bytes;   // received from servers
  Counter spliced_bytes;    // of these, moved by splice
  Counter refused;          // clients turned away before a session existed
  Counter probes;           // sessions without a client, which no other row counts
  Counter accept_failures;  // accept(2) failed, for lack of descriptors for example
  Counter login_failures;   // told by the module
  Counter login_blocks;     // of these, such that blocked the client's address
  Counter admissions_refused[kAdmissionVerdictCount + 1];  // by verdict; [0] is unused
  Counter turned_away[kRefusalCount + 1];                  // by refusal; [0] is unused
  Counter ended[kCloseReasonCount + 1];  // sessions that ended, by reason; [0] is unused
  std::vector<Counter> module;           // the module's own, by its table

  void CountRefusal(Refusal refusal) { turned_away[static_cast<size_t>(refusal)].Add(1); }
};

}  // namespace rum
