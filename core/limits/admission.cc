#include "limits/admission.h"

#include <time.h>

#include "map/map_record.h"
#include "rum/module.h"

namespace rum {

int32_t JudgeRules(const MapRules& rules, const Visitor& visitor, int64_t now_seconds) {
  if (rules.disabled) return RUM_REFUSED_DISABLED;
  if ((rules.from && now_seconds < *rules.from) || (rules.until && now_seconds >= *rules.until)) {
    return RUM_REFUSED_TIME;
  }
  if (rules.deny.Contains(visitor.address) ||
      (rules.allow && !rules.allow->Contains(visitor.address))) {
    return RUM_REFUSED_ADDRESS;
  }
  if (rules.needs_tls && !visitor.safe_way) return RUM_REFUSED_TLS;
  return RUM_OK;
}

int32_t Admission::Admit(const Settings& settings, const Visitor& visitor, std::string_view record,
                         UserLimits::Place* place) {
  place->Release();
  if (guard_.Blocks(settings.guard, visitor.address)) return RUM_REFUSED_BLOCKED;
  UserLimit limit = settings.limit;
  if (!record.empty()) {
    auto parsed = ParseMapRecord(record);
    auto rules = parsed ? ParseMapRules(parsed->tail) : Result<MapRules>(parsed.error());
    // What is not understood may be a restriction.
    if (!rules) return RUM_REFUSED_RULES;
    if (int32_t verdict = JudgeRules(*rules, visitor, ::time(nullptr)); verdict != RUM_OK) {
      return verdict;
    }
    if (rules->max) limit.max = *rules->max;
    if (rules->rate) limit.rate = *rules->rate;
  }
  switch (users_.Take(visitor.user, limit, place)) {
    case UserLimits::Answer::kTaken:
      break;
    case UserLimits::Answer::kTooMany:
      return RUM_REFUSED_CONNECTIONS;
    case UserLimits::Answer::kTooFast:
      return RUM_REFUSED_RATE;
  }
  return RUM_OK;
}

}  // namespace rum
