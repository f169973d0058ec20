// One column of the text form: any bytes as one printable word, without loss.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace rum {

// Printable ASCII is kept; a blank becomes \s, a backslash \\, any other byte \xHH. Words with a
// special meaning are escaped: `-` (the empty column), `=`, and a leading `#`.
std::string FormatColumn(std::string_view bytes);

// The inverse, for a word that is not empty. Bytes from 0x80 on are also accepted as they are, so
// that names can be typed in UTF-8. Control bytes and unknown escapes are errors.
Result<std::string> ParseColumn(std::string_view word);

// For messages: the first 80 bytes in quotes, safe to print on a terminal.
std::string QuoteBytes(std::string_view bytes);

}  // namespace rum
