// The close reasons as an array: word and explanation by number.
#pragma once

#include <cstdint>
#include <iterator>
#include <string_view>

#include "rum/module.h"

namespace rum {

struct CloseReason {
  uint32_t number;
  std::string_view word;
  std::string_view explanation;
};

inline constexpr CloseReason kCloseReasons[] = {
#define CLOSE_REASON(name, word, explanation) {RUM_CLOSE_##name, word, explanation},
#include "base/close_reasons.def"
#undef CLOSE_REASON
};
inline constexpr uint32_t kCloseReasonCount = std::size(kCloseReasons);

constexpr bool CloseReasonsAreInOrder() {
  for (uint32_t i = 0; i < kCloseReasonCount; ++i) {
    if (kCloseReasons[i].number != i + 1) return false;
  }
  return true;
}
static_assert(CloseReasonsAreInOrder(), "close_reasons.def and rum/module.h number differently");

// Maps numbers outside the table, which only a faulty module reports, to a module failure.
inline uint32_t KnownCloseReason(uint32_t reason) {
  return reason >= 1 && reason <= kCloseReasonCount ? reason : RUM_CLOSE_MODULE;
}

inline std::string_view CloseReasonWord(uint32_t reason) { return kCloseReasons[reason - 1].word; }

}  // namespace rum
