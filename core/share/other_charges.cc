#include "share/other_charges.h"

#include <algorithm>
#include <utility>

namespace rum {
namespace {

// A key that was not in the former reading has begun a span since, unless the span is older than
// others in that reading: then the key was left out.
uint64_t Grown(const ChargeTable& before, uint64_t last_span, const std::string& key,
               const RateCharge& charge) {
  auto found = before.find(key);
  if (found != before.end() && found->second.span == charge.span) {
    return charge.micros - std::min(charge.micros, found->second.micros);
  }
  return charge.span > last_span ? charge.micros : 0;
}

}  // namespace

void OtherCharges::Begin(uint64_t now) {
  reading_.clear();
  reading_at_ = now;
}

void OtherCharges::Finish(uint64_t most, const Growth& growth) {
  if (reading_at_ - former_at_ > most) former_.clear();
  for (auto& [name, node] : reading_) {
    auto before = former_.find(name);
    for (size_t kind = 0; kind < kRateKinds; ++kind) {
      uint64_t& last = node.last[kind];
      if (before != former_.end()) last = before->second.last[kind];
      for (const auto& [key, charge] : node.tables[kind]) {
        last = std::max(last, charge.span);
        if (before == former_.end()) continue;
        const uint64_t micros =
            Grown(before->second.tables[kind], before->second.last[kind], key, charge);
        if (micros) growth(static_cast<RateKind>(kind), key, micros, former_at_);
      }
    }
  }
  former_ = std::exchange(reading_, {});
  former_at_ = reading_at_;
}

}  // namespace rum
