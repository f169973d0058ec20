// Tries a module without a transcript: each try in its own process, repeatable by a seed; reports
// each kind of failure once.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "base/result.h"
#include "check/conversation.h"
#include "rum/module.h"

namespace rum {

struct TrySettings {
  std::string again;  // the command that repeats a try, without --seed N --try N
  std::function<Result<const rum_module*>()> load;  // in the child
  uint64_t seed = 0;
  uint64_t tries = 500;
  uint64_t seconds = 0;          // no try begins after that; 0: no limit
  std::optional<uint64_t> only;  // only this try, with its script
  uint64_t limit_millis =
      2000;  // CPU time of the sessions of a try; five times as much by the clock
  bool quiet = false;
};

// True: no failure was found.
bool RunTries(const TryMaterial& material, const TrySettings& settings);

}  // namespace rum
