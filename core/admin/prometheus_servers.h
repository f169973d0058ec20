// The metrics with a label for each server or user, in Prometheus' text format: as many as
// --metrics-servers and --metrics-users allow.
#pragma once

#include <string>
#include <string_view>

namespace rum {

struct Overview;

// A label's value, for use between double quotes.
std::string EscapeLabel(std::string_view text);

// [main] Append to `out`.
void WriteServerMetrics(const Overview& overview, std::string& out);
void WriteUserMetrics(const Overview& overview, std::string& out);
// [main] Appends those of the older processes.
void WriteGenerationMetrics(const Overview& overview, std::string& out);

}  // namespace rum
