#include "limits/admission.h"

#include <time.h>

#include <utility>

#include "geo/geo_database.h"
#include "map/map_record.h"
#include "rum/module.h"

namespace rum {
namespace {

int32_t VerdictOf(LimiterAnswer answer) {
  switch (answer) {
    case LimiterAnswer::kTaken:
      break;
    case LimiterAnswer::kTooMany:
      return RUM_REFUSED_CONNECTIONS;
    case LimiterAnswer::kTooFast:
      return RUM_REFUSED_RATE;
  }
  return RUM_OK;
}

// The address prefix that counts as one address, also for the login guard.
std::string Around(const Admission::Settings& settings, const SocketAddress& address) {
  if (!address.ip()) return {};
  return Cidr::Around(address, 32, settings.guard.ip_prefix).text();
}

// Version 6.7 ignored countries without a database; a rule that is written today restricts anyway.
int32_t JudgeCountry(const MapRules& rules, const Visitor& visitor) {
  if (!rules.has_countries()) return RUM_OK;
  if (!visitor.geo) return rules.older ? RUM_OK : RUM_REFUSED_RULES;
  const Country country = visitor.geo->Find(visitor.address);
  const bool refused =
      rules.not_country.Contains(country) || (rules.country && !rules.country->Contains(country));
  return refused ? RUM_REFUSED_ADDRESS : RUM_OK;
}

}  // namespace

int32_t JudgeRules(const MapRules& rules, const Visitor& visitor, int64_t now_seconds) {
  if (rules.disabled) return RUM_REFUSED_DISABLED;
  if ((rules.from && now_seconds < *rules.from) || (rules.until && now_seconds >= *rules.until)) {
    return RUM_REFUSED_TIME;
  }
  if (rules.deny.Contains(visitor.address) ||
      (rules.allow && !rules.allow->Contains(visitor.address))) {
    return RUM_REFUSED_ADDRESS;
  }
  if (int32_t verdict = JudgeCountry(rules, visitor); verdict != RUM_OK) return verdict;
  if (rules.needs_tls && !visitor.safe_way) return RUM_REFUSED_TLS;
  return RUM_OK;
}

int32_t Admission::Admit(const Settings& settings, const Visitor& visitor, std::string_view record,
                         const UserLimits::Lease& held, Candidate* candidate) {
  candidate->Drop();
  UserLimit limit;
  if (int32_t verdict = Judge(settings, visitor, record, &limit); verdict != RUM_OK) return verdict;
  if (held && held.key() == visitor.user) limit = {};
  CountOthers(visitor.user, &limit);
  if (limit.max || limit.rate.on()) {
    const UserLimits::Room room = users_.RoomFor(visitor.user, limit);
    if (room.places == 0) return VerdictOf(room.beyond);
    std::string key(visitor.user);
    key.append(1, '\0').append(Around(settings, visitor.address));
    if (trying_.Take(key, {room.places, {}}, &candidate->trying_) != LimiterAnswer::kTaken) {
      return VerdictOf(room.beyond);
    }
  }
  candidate->user_ = visitor.user;
  candidate->limit_ = limit;
  candidate->pending_ = true;
  return RUM_OK;
}

int32_t Admission::Confirm(Candidate* candidate, UserLimits::Lease* lease) {
  candidate->Drop();
  if (*lease && lease->key() == candidate->user_) return RUM_OK;
  // As of now: others may have admitted logins since Admit().
  CountOthers(candidate->user_, &candidate->limit_);
  UserLimits::Lease next;
  const LimiterAnswer answer = users_.Take(candidate->user_, candidate->limit_, &next);
  if (answer == LimiterAnswer::kTaken) *lease = std::move(next);
  if (others_ && others_->shared() && candidate->limit_.rate.on()) {
    const UserLimit by_rate{.max = 0, .rate = candidate->limit_.rate};
    others_->NoteRate(by_rate.rate, users_.RoomFor(candidate->user_, by_rate).places);
  }
  return VerdictOf(answer);
}

void Admission::CountOthers(std::string_view user, UserLimit* limit) const {
  if (!others_ || !others_->shared() || !limit->max) return;
  limit->others = others_->SessionsOfUser(user);
  others_->Note(uint64_t{limit->others} + users_.Sessions(user) + 1, limit->max);
}

int32_t Admission::Judge(const Settings& settings, const Visitor& visitor, std::string_view record,
                         UserLimit* limit) const {
  if (guard_.Blocks(settings.guard, visitor.address)) return RUM_REFUSED_BLOCKED;
  *limit = settings.limit;
  if (record.empty()) return RUM_OK;
  auto parsed = ParseMapRecord(record);
  auto rules = parsed ? ParseMapRules(parsed->tail) : Result<MapRules>(parsed.error());
  // A rule that cannot be read may be a restriction.
  if (!rules) return RUM_REFUSED_RULES;
  if (rules->max) limit->max = *rules->max;
  if (rules->rate) limit->rate = *rules->rate;
  return JudgeRules(*rules, visitor, ::time(nullptr));
}

}  // namespace rum
