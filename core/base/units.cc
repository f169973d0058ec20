#include "base/units.h"

#include <fmt/format.h>

#include <cmath>
#include <cstdint>
#include <iterator>
#include <string_view>

namespace rum {
namespace {

// The number in the unit that leaves at most four digits, with tenths where these are few.
std::string Scaled(double bytes, const char*& unit) {
  constexpr const char* kUnits[] = {"", "K", "M", "G", "T", "P", "E"};
  size_t power = 0;
  for (; bytes >= 1023.5 && power + 1 < std::size(kUnits); ++power) bytes /= 1024;
  unit = kUnits[power];
  return fmt::format("{:.{}f}", bytes, power && bytes < 9.95 ? 1 : 0);
}

// "5m12s", "5m"
std::string TwoUnits(uint64_t number, uint64_t part, std::string_view unit, std::string_view of) {
  const std::string whole = fmt::format("{}{}", number / part, unit);
  return number % part ? fmt::format("{}{}{}", whole, number % part, of) : whole;
}

}  // namespace

std::string ShowSize(double bytes) {
  const char* unit = "";
  const std::string number = Scaled(bytes, unit);
  return fmt::format("{} {}{}", number, unit, *unit ? "iB" : "B");
}

std::string ShowSizeBriefly(double bytes) {
  const char* unit = "";
  const std::string number = Scaled(bytes, unit);
  return number + unit;
}

std::string ShowDuration(double seconds) {
  if (seconds <= 0) return "0s";
  if (seconds < 0.01) return fmt::format("{:.1f}ms", std::floor(seconds * 1e4) / 10);
  if (seconds < 1) return fmt::format("{:.0f}ms", std::floor(seconds * 1e3));
  if (seconds < 10) return fmt::format("{:.1f}s", std::floor(seconds * 10) / 10);
  const auto whole = static_cast<uint64_t>(seconds);
  if (whole < 60) return fmt::format("{}s", whole);
  if (whole < 3600) return TwoUnits(whole, 60, "m", "s");
  if (whole < 86400) return TwoUnits(whole / 60, 60, "h", "m");
  if (whole < 100 * 86400) return TwoUnits(whole / 3600, 24, "d", "h");
  return fmt::format("{}d", whole / 86400);
}

std::string Counted(uint64_t number, std::string_view noun) {
  return std::to_string(number).append(" ").append(noun).append(number == 1 ? "" : "s");
}

}  // namespace rum
