// Text from outside made safe to show: what a client wrote cannot break a line, a terminal or JSON,
// nor be read as something else.
#pragma once

#include <string>
#include <string_view>

namespace rum {

// Printable ASCII and well-formed UTF-8 stay, but for control characters and those that nobody sees
// and that change what is seen, such as U+202E, which turns the direction of a text; '"', '\' and
// all other bytes become \", \\ and \xHH. For use between double quotes in a line of text.
void AppendEscaped(std::string& out, std::string_view bytes);

// A whole line: as AppendEscaped, but '"' and '\' stay.
void AppendPrintable(std::string& out, std::string_view bytes);

// The same as AppendEscaped inside a JSON string: a byte that is not text reads as \xHH and '\' as
// two of them once the JSON is parsed, so that the value is never ambiguous.
void AppendJsonEscaped(std::string& out, std::string_view bytes);

// JSON of a library, for a terminal: the same values, what nobody sees in them as \uHHHH.
std::string ShowJson(std::string_view json);

}  // namespace rum
