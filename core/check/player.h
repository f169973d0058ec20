// Plays a transcript to a module on a scripted host, with the bytes of the peers cut one way or
// another, and reports the first line that does not hold.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "check/transcript.h"
#include "rum/module.h"

namespace rum {

// How the bytes arrive. Lines of one side that follow each other are one piece before they are cut.
struct Cut {
  enum class Kind : uint8_t {
    kWhole,   // all at once
    kBytes,   // one by one
    kRandom,  // at places that the seed decides; it also decides when look-ups are answered
  };
  Kind kind = Kind::kWhole;
  uint64_t seed = 0;
};

struct PlayOptions {
  uint64_t wait_millis = 10'000;  // for resume() of another thread
  std::string* trace = nullptr;   // what the module did, written as a transcript
};

// Nothing when all holds; else a report of several lines that begins with "FILE:LINE: ".
std::optional<std::string> PlayTranscript(const rum_module& module, const Transcript& transcript,
                                          Cut cut, const PlayOptions& options);

}  // namespace rum
