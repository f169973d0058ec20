// What the workers have counted, summed up; and the table of it that both forms are made from.
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

// A number that is kept by each worker: where it is, what it is called, what it means.
struct CounterRow {
  Counter Counters::*member;
  const char* group;   // in the JSON
  const char* name;    // in the JSON
  const char* metric;  // for Prometheus, with its unit
  const char* type;
  const char* help;
};

std::span<const CounterRow> CounterRows();

// [any] Sums over the workers.
uint64_t SumOf(const Proxy& proxy, Counter Counters::*member);
uint64_t SumEnded(const Proxy& proxy, uint32_t reason);
uint64_t SumLoginsRefused(const Proxy& proxy, int32_t verdict);
uint64_t SumClientsRefused(const Proxy& proxy, Refusal refusal);
uint64_t SumModule(const Proxy& proxy, size_t metric);

// A histogram of the workers as one: its bounds in microseconds, what was at most as long as each,
// and in all.
struct Times {
  const char* name;    // in the JSON
  const char* metric;  // for Prometheus
  const char* help;
  std::vector<uint64_t> bounds;
  std::vector<uint64_t> within;
  uint64_t count = 0;
  uint64_t micros = 0;
};
std::array<Times, 3> SumTimes(const Proxy& proxy);

// [main] For the chart.
Sample TakeSample(const Proxy& proxy);

inline constexpr std::string_view kHealthWords[] = {"unknown", "up", "down"};
// [main] How many destinations are in this state.
size_t CountHealth(const Prober& prober, DestinationHealth::State state);

}  // namespace rum
