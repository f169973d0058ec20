// Dates as RFC 3339 writes them. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace rum {

// "2026-12-31T23:59:59Z", or with an offset, "+01:00"; fractions of a second are ignored. Seconds
// since 1970; nullopt: it is no such date.
std::optional<int64_t> ParseDate(std::string_view text);

// In UTC; of years that no calendar has, the number of seconds.
std::string FormatDate(int64_t seconds);

}  // namespace rum
