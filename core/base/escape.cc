#include "base/escape.h"

#include <cstdint>

namespace rum {
namespace {

// The length of the well-formed UTF-8 character at the front, 0 if there is none. Control
// characters (C0, DEL, C1) and the line separators U+2028 and U+2029 count as none.
size_t Utf8Length(std::string_view s) {
  auto byte = [&](size_t i) { return static_cast<uint8_t>(s[i]); };
  uint8_t first = byte(0);
  if (first < 0x80) return first >= 0x20 && first != 0x7f ? 1 : 0;
  size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : first >= 0xc2 ? 2 : 0;
  if (length == 0 || first > 0xf4 || s.size() < length) return 0;
  uint32_t code = first & (0xffu >> (length + 1));
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
    code = code << 6 | (byte(i) & 0x3f);
  }
  constexpr uint32_t kLeast[] = {0, 0, 0xa0, 0x800, 0x10000};
  if (code < kLeast[length] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) return 0;
  return code == 0x2028 || code == 0x2029 ? 0 : length;
}

struct Form {
  std::string_view quote, backslash, before_hex;
};

void Append(std::string& out, std::string_view bytes, const Form& form) {
  constexpr char kHex[] = "0123456789abcdef";
  while (!bytes.empty()) {
    char c = bytes.front();
    size_t length = Utf8Length(bytes);
    if (c == '"') {
      out += form.quote;
    } else if (c == '\\') {
      out += form.backslash;
    } else if (length > 0) {
      out += bytes.substr(0, length);
    } else {
      out += form.before_hex;
      out += kHex[static_cast<uint8_t>(c) >> 4];
      out += kHex[static_cast<uint8_t>(c) & 15];
    }
    bytes.remove_prefix(length ? length : 1);
  }
}

}  // namespace

void AppendEscaped(std::string& out, std::string_view bytes) {
  Append(out, bytes, {R"(\")", R"(\\)", R"(\x)"});
}

void AppendPrintable(std::string& out, std::string_view bytes) {
  Append(out, bytes, {R"(")", R"(\)", R"(\x)"});
}

void AppendJsonEscaped(std::string& out, std::string_view bytes) {
  Append(out, bytes, {R"(\")", R"(\\\\)", R"(\\x)"});
}

}  // namespace rum
