// Plays the input lines of a transcript on the scripted host, one at a time. An error says why the
// input is impossible now.
#pragma once

#include "base/result.h"
#include "check/pattern.h"
#include "check/scripted_host.h"
#include "check/transcript.h"

namespace rum {

// A line that sets up the world, listed before kOpen in TranscriptLine::Word; not for options.
Status PlayWorld(ScriptedHost& host, const TranscriptLine& line, const Captures& captures);

// An event of the selected, open session; not for kOpen, kProbe, kFeed, kRefusal.
Status PlayEvent(ScriptedHost& host, const TranscriptLine& line, const Captures& captures,
                 uint64_t wait_millis);

}  // namespace rum
