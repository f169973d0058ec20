// Text from outside made safe to show: what a client wrote cannot break a line, a terminal or JSON.
#pragma once

#include <string>
#include <string_view>

namespace rum {

// Printable ASCII and well-formed UTF-8 above the control characters stay; '"', '\' and all other
// bytes become \", \\ and \xHH. For use between double quotes in a line of text.
void AppendEscaped(std::string& out, std::string_view bytes);

// A whole line: as AppendEscaped, but '"' and '\' stay.
void AppendPrintable(std::string& out, std::string_view bytes);

// The same as AppendEscaped inside a JSON string: a byte that is not text reads as \xHH and '\' as
// two of them once the JSON is parsed, so that the value is never ambiguous.
void AppendJsonEscaped(std::string& out, std::string_view bytes);

}  // namespace rum
