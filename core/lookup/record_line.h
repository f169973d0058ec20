// The record of one user as a remote source has it: the line of the user in the text form of a map
// (map_text.h), as `rum-map dump` prints it.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace rum {

// Returns the record's value, validated as rum-map build does. Errors complete the sentence "user
// 'x' ...". `*other`: it is the line of another user, which must never be used for this one.
Result<std::string> ReadRecordLine(std::string_view user, std::string_view line, bool* other);

}  // namespace rum
