// Parses one line of a transcript, word by word. rum-check(1) describes the lines.
#pragma once

#include <string_view>

#include "base/result.h"
#include "check/transcript.h"

namespace rum {

// Position of the first `wanted` outside of "text", else npos; a '#' counts only after a blank.
size_t FindOutside(std::string_view line, char wanted);

// Removes blanks at both ends, and a CR at the end.
std::string_view TrimLine(std::string_view text);

// `text` is a whole line with its continuation lines, without comments.
Result<TranscriptLine> ReadTranscriptLine(std::string_view text);

}  // namespace rum
