// Sizes, times and numbers of things as people read them, alike on the status page, in rumctl and
// in the log. Programs read bytes and seconds.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace rum {

// "17 B", "1.5 GiB", "512 MiB": powers of 1024, as in options such as 512M.
std::string ShowSize(double bytes);
// The same for narrow columns: "17", "1.5G", "512M"; at most five characters.
std::string ShowSizeBriefly(double bytes);

// "0.4ms", "250ms", "3.2s", "45s", "5m12s", "7h30m", "12d4h", with the units of options and days;
// at most six characters below 1,000 years. Rounds down.
std::string ShowDuration(double seconds);

// "0 users", "1 user", "2 users": of a noun whose plural ends in s.
std::string Counted(uint64_t number, std::string_view noun);

}  // namespace rum
