#include "base/rate.h"

#include <algorithm>
#include <charconv>
#include <limits>

namespace rum {
namespace {

constexpr uint32_t kCountMost = 1'000'000;
constexpr Millis kPeriodMost = std::chrono::hours(24);

}  // namespace

uint64_t TokenMicros(Rate rate) {
  return std::max<uint64_t>(static_cast<uint64_t>(rate.period.count()) * 1000 / rate.count, 1);
}

Result<Rate> ParseRate(std::string_view text) {
  if (text == "off") return Rate{};
  size_t slash = text.find('/');
  std::string_view number = text.substr(0, slash);
  Rate rate;
  auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), rate.count);
  bool good = slash != text.npos && error == std::errc() && end == number.data() + number.size() &&
              rate.count >= 1 && rate.count <= kCountMost;
  if (good) {
    std::string period(text.substr(slash + 1));
    // A unit alone means one of it ("5/s"). A number without a unit is rejected as ambiguous.
    if (!period.empty() && period[0] >= 'a') period.insert(0, 1, '1');
    auto duration = ParseDuration(period);
    good = duration && !period.empty() && period.back() >= 'a' && *duration <= kPeriodMost &&
           duration->count() > 0;
    if (good) rate.period = *duration;
  }
  if (good) return rate;
  return Error{Fault::kUsage, "'" + std::string(text) +
                                  "' is not a rate: write COUNT/TIME, as in 5/s, "
                                  "100/m or 20/90s, or off"};
}

std::string FormatRate(Rate rate) {
  if (!rate.on()) return "off";
  std::string period = FormatDuration(rate.period);
  if (period[0] == '1' && period[1] >= 'a') period.erase(0, 1);
  return std::to_string(rate.count) + "/" + period;
}

uint32_t Bucket::Left(Rate rate, uint64_t now) const {
  if (!rate.on()) return std::numeric_limits<uint32_t>::max();
  const uint64_t wait = full_at_ > now ? full_at_ - now : 0;
  const uint64_t interval = TokenMicros(rate);
  const uint64_t taken = wait / interval + (wait % interval != 0);
  return taken < rate.count ? rate.count - static_cast<uint32_t>(taken) : 0;
}

bool Bucket::Take(Rate rate, uint64_t now) {
  if (!rate.on()) return true;
  if (!Has(rate, now)) return false;
  full_at_ = std::max(full_at_, now) + TokenMicros(rate);
  return true;
}

void Bucket::Charge(uint64_t micros, uint64_t since) {
  constexpr auto kMost = static_cast<uint64_t>(2 * kPeriodMost.count() * 1000);
  full_at_ = std::min(std::max(full_at_, since) + std::min(micros, kMost), since + kMost);
}

void Bucket::Bound(Rate rate, uint64_t now) {
  if (rate.on()) full_at_ = std::min(full_at_, now + 2 * TokenMicros(rate) * rate.count);
}

}  // namespace rum
