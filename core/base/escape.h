// Escapes untrusted text for display: bytes from a client cannot break a line, a terminal or JSON,
// or pose as other text.
#pragma once

#include <string>
#include <string_view>

namespace rum {

// Keeps printable ASCII and well-formed UTF-8, except control characters and invisible characters
// that change how text is displayed (such as U+202E, which reverses its direction). '"', '\' and
// all other bytes become \", \\ and \xHH. For use between double quotes in a line of text.
void AppendEscaped(std::string& out, std::string_view bytes);

// As AppendEscaped(), for a whole line: '"' and '\' are kept.
void AppendPrintable(std::string& out, std::string_view bytes);

// As AppendEscaped(), inside a JSON string: after the JSON is parsed, an invalid byte is \xHH and
// '\' is \\, so that the value is unambiguous.
void AppendJsonEscaped(std::string& out, std::string_view bytes);

// Escapes the JSON of a library for a terminal: the values are unchanged, invisible characters
// become \uHHHH.
std::string ShowJson(std::string_view json);

}  // namespace rum
