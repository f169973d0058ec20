#include "limits/admission.h"

#include <time.h>

#include <utility>

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
  UserLimit limit;
  if (int32_t verdict = Judge(settings, visitor, record, &limit); verdict != RUM_OK) return verdict;
  return Take(visitor.user, limit, place);
}

int32_t Admission::Change(const Settings& settings, const Visitor& visitor, std::string_view record,
                          UserLimits::Place* place, UserLimits::Place* former) {
  if (*former && former->key() == visitor.user) {
    *place = std::move(*former);
    return RUM_OK;
  }
  UserLimit limit;
  if (int32_t verdict = Judge(settings, visitor, record, &limit); verdict != RUM_OK) return verdict;
  if (*place && place->key() == visitor.user) return RUM_OK;
  UserLimits::Place next;
  if (int32_t verdict = Take(visitor.user, limit, &next); verdict != RUM_OK) return verdict;
  if (!*former) *former = std::move(*place);
  *place = std::move(next);
  return RUM_OK;
}

int32_t Admission::Judge(const Settings& settings, const Visitor& visitor, std::string_view record,
                         UserLimit* limit) const {
  if (guard_.Blocks(settings.guard, visitor.address)) return RUM_REFUSED_BLOCKED;
  *limit = settings.limit;
  if (record.empty()) return RUM_OK;
  auto parsed = ParseMapRecord(record);
  auto rules = parsed ? ParseMapRules(parsed->tail) : Result<MapRules>(parsed.error());
  // What is not understood may be a restriction.
  if (!rules) return RUM_REFUSED_RULES;
  if (rules->max) limit->max = *rules->max;
  if (rules->rate) limit->rate = *rules->rate;
  return JudgeRules(*rules, visitor, ::time(nullptr));
}

int32_t Admission::Take(std::string_view user, const UserLimit& limit, UserLimits::Place* place) {
  switch (users_.Take(user, limit, place)) {
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
