// Plays a transcript to a module on a scripted host, with the peers' bytes cut in various ways, and
// reports the first line that does not match.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "check/transcript.h"
#include "rum/module.h"

namespace rum {

// How the bytes arrive. Consecutive lines of one side are joined before they are cut.
struct Cut {
  enum class Kind : uint8_t {
    kWhole,   // all at once
    kBytes,   // one by one
    kRandom,  // at places that the seed decides, as it decides when lookups are answered
  };
  Kind kind = Kind::kWhole;
  uint64_t seed = 0;
};

struct PlayOptions {
  uint64_t wait_millis = 10'000;  // for resume() from another thread
  std::string* trace = nullptr;   // receives what the module did, as a transcript
};

// Empty if all lines match; else a report of several lines that begins with "FILE:LINE: ".
std::optional<std::string> PlayTranscript(const rum_module& module, const Transcript& transcript,
                                          Cut cut, const PlayOptions& options);

}  // namespace rum
