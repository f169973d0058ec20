// One column of the text form: any bytes as one printable word, and back without loss.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace rum {

// Printable ASCII stands for itself, a blank is \s, a backslash \\, every other byte \xHH. Words
// that mean something else are escaped: `-`, which is the empty column, `=`, and a `#` at the
// front.
std::string FormatColumn(std::string_view bytes);

// The inverse, for a word of one byte at least. Bytes of 0x80 and more stand for themselves, too: a
// name may be typed as UTF-8. Control bytes and unknown escapes are refused.
Result<std::string> ParseColumn(std::string_view word);

// For messages: in quotes, without anything that would move a terminal, the first 80 bytes.
std::string QuoteBytes(std::string_view bytes);

}  // namespace rum
