// Reads one line of a transcript, word by word. rum-check(1) describes the lines.
#pragma once

#include <string_view>

#include "base/result.h"
#include "check/transcript.h"

namespace rum {

// The first `wanted` that does not stand in a "text"; a '#' must follow a blank. Else npos.
size_t FindOutside(std::string_view line, char wanted);

// Without blanks at both ends, and without a CR at the end.
std::string_view TrimLine(std::string_view text);

// `text` is a whole line, with those that continue it, and without a comment.
Result<TranscriptLine> ReadTranscriptLine(std::string_view text);

}  // namespace rum
