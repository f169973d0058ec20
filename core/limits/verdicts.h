// The verdicts of admit() in rum/module.h, by number: one word each for statistics and transcripts.
#pragma once

#include <cstdint>
#include <iterator>
#include <string_view>

#include "rum/module.h"

namespace rum {

struct AdmissionVerdict {
  int32_t number;
  std::string_view word;
};

inline constexpr AdmissionVerdict kAdmissionVerdicts[] = {
    {RUM_REFUSED_RULES, "rules"}, {RUM_REFUSED_DISABLED, "disabled"},
    {RUM_REFUSED_TIME, "time"},   {RUM_REFUSED_ADDRESS, "address"},
    {RUM_REFUSED_TLS, "tls"},     {RUM_REFUSED_CONNECTIONS, "connections"},
    {RUM_REFUSED_RATE, "rate"},   {RUM_REFUSED_BLOCKED, "blocked"},
};
inline constexpr size_t kAdmissionVerdictCount = std::size(kAdmissionVerdicts);

constexpr bool VerdictsAreInOrder() {
  for (size_t i = 0; i < kAdmissionVerdictCount; ++i) {
    if (kAdmissionVerdicts[i].number != static_cast<int32_t>(i) + 1) return false;
  }
  return true;
}
static_assert(VerdictsAreInOrder(), "verdicts.h and rum/module.h number differently");

}  // namespace rum
