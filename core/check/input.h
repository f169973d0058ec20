// Plays the lines of a transcript that happen to a module, one at a time, on the scripted host. An
// error is why that cannot happen now.
#pragma once

#include "base/result.h"
#include "check/pattern.h"
#include "check/scripted_host.h"
#include "check/transcript.h"

namespace rum {

// A line of the world, which stands before kOpen in TranscriptLine::Word; not an option.
Status PlayWorld(ScriptedHost& host, const TranscriptLine& line, const Captures& captures);

// What happens to the selected session, which is open: all but kOpen, kProbe, kFeed, kRefusal.
Status PlayEvent(ScriptedHost& host, const TranscriptLine& line, const Captures& captures,
                 uint64_t wait_millis);

}  // namespace rum
