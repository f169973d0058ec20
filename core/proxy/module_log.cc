#include "proxy/module_log.h"

#include <algorithm>

#include "base/clock.h"
#include "rum/module.h"

namespace rum {
namespace {

constexpr uint64_t kLines = UINT32_MAX;
LineBudget budget;

}  // namespace

LineBudget::Verdict LineBudget::Take(uint64_t second) {
  second &= kLines;
  uint64_t old = state_.load(std::memory_order_relaxed);
  while (true) {
    const bool same = old >> 32 == second;
    const uint64_t before = old & kLines;
    const uint64_t lines = same ? std::min(before + 1, kLines) : 1;
    if (!state_.compare_exchange_weak(old, Pack(second, lines), std::memory_order_relaxed)) {
      continue;
    }
    const bool over = !same && before > RUM_MOST_LOG_LINES;
    return {lines <= RUM_MOST_LOG_LINES, over ? before - RUM_MOST_LOG_LINES : 0};
  }
}

void WriteModuleLine(log::Level level, std::string head, std::string_view text) {
  const LineBudget::Verdict verdict = budget.Take(NowMicros() / 1'000'000);
  if (verdict.dropped) {
    log::Warning("the module wrote more than {} log lines in a second: {} were dropped",
                 static_cast<int>(RUM_MOST_LOG_LINES), verdict.dropped);
  }
  if (!verdict.pass) return log::CountDropped();
  head.append(text.substr(0, RUM_MOST_LOG));
  if (text.size() > RUM_MOST_LOG) head += "... (cut)";
  log::Write(level, head);
}

}  // namespace rum
