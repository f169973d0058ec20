// Sums of the workers' counters, and the table that JSON and metrics are made from.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "admin/history.h"
#include "base/close_reasons.h"
#include "limits/verdicts.h"
#include "probe/prober.h"
#include "proxy/counters.h"

namespace rum {

class Proxy;

// A counter of the workers: member, names and description.
struct CounterRow {
  Counter Counters::*member;
  const char* group;   // in JSON
  const char* name;    // in JSON
  const char* metric;  // in Prometheus, with its unit
  const char* type;
  const char* help;
};

std::span<const CounterRow> CounterRows();

// [any] Adds up all workers.
uint64_t SumOf(const Proxy& proxy, Counter Counters::*member);
uint64_t SumEnded(const Proxy& proxy, uint32_t reason);
uint64_t SumLoginsRefused(const Proxy& proxy, int32_t verdict);
uint64_t SumClientsRefused(const Proxy& proxy, Refusal refusal);
// All refused clients and logins, for whatever reason.
uint64_t SumRefused(const Proxy& proxy);
uint64_t SumModule(const Proxy& proxy, size_t metric);

// The sum of a histogram of all workers: bucket bounds in microseconds, cumulative counts per
// bound, and totals.
struct Times {
  const char* name;    // in JSON
  const char* metric;  // in Prometheus
  const char* help;
  std::vector<uint64_t> bounds;
  std::vector<uint64_t> within;
  uint64_t count = 0;
  uint64_t micros = 0;
};
std::array<Times, 5> SumTimes(const Proxy& proxy);

// [main] A sample for the charts.
Sample TakeSample(const Proxy& proxy);

inline constexpr std::string_view kHealthWords[] = {"unknown", "up", "down"};
// [main] The number of destinations in `state`.
size_t CountHealth(const Prober& prober, DestinationHealth::State state);

}  // namespace rum
