#include "base/clock.h"

#include <charconv>

namespace rum {
namespace {

struct Unit {
  std::string_view name;
  uint64_t millis;
};
constexpr Unit kUnits[] = {{"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}, {"", 1000}};
constexpr uint64_t kMax = 10ull * 365 * 24 * 3600 * 1000;

}  // namespace

Result<Millis> ParseDuration(std::string_view text) {
  if (text == "off" || text == "0") return Millis(0);
  uint64_t number = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  std::string_view unit(end, static_cast<size_t>(text.data() + text.size() - end));
  if (error == std::errc()) {
    for (const Unit& u : kUnits) {
      if (unit == u.name && number <= kMax / u.millis) {
        return Millis(static_cast<int64_t>(number * u.millis));
      }
    }
  }
  return Error{Fault::kUsage, "'" + std::string(text) +
                                  "' is not a duration: write a number and ms, s, m or h, as in "
                                  "6s, or off"};
}

std::string FormatDuration(Millis duration) {
  auto millis = static_cast<uint64_t>(duration.count());
  if (millis == 0) return "off";
  for (const Unit& u : kUnits) {
    if (!u.name.empty() && millis % u.millis == 0)
      return std::to_string(millis / u.millis) + std::string(u.name);
  }
  return std::to_string(millis) + "ms";
}

}  // namespace rum
