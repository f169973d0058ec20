// Tries a module by itself, without a transcript: each try in a process of its own, repeatable by a
// seed, and reports what went wrong, each kind of it once.
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
  std::string again;  // the command that repeats a try, but for --seed N --try N
  std::function<Result<const rum_module*>()> load;  // in the child
  uint64_t seed = 0;
  uint64_t tries = 500;
  uint64_t seconds = 0;          // no try begins after them; 0: no limit
  std::optional<uint64_t> only;  // just this try, with its script
  uint64_t limit_millis = 2000;  // of CPU for a try; five times as long by the clock
  bool quiet = false;
};

// True: nothing was found.
bool RunTries(const TryMaterial& material, const TrySettings& settings);

}  // namespace rum
