// Small parts of the status page: escaped text, numbers for people, a chart.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace rum {

// Escapes untrusted text for HTML content and attributes in double quotes.
std::string Html(std::string_view text);

std::string Grouped(uint64_t number);  // "1,234,567"
std::string PerSecond(double rate);    // "0.2", "12.5", "1,240"

// The values as an SVG curve on a scale from 0 to their maximum. The newest is at the right;
// `room` values fill the width.
std::string Curve(const std::vector<double>& values, size_t room);

}  // namespace rum
