#include "base/escape.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>

namespace rum {
namespace {

// Code points that are invisible but change how text is displayed: direction, line and word breaks,
// joiners and fillers (general category Cf, Zl and Zp, variation selectors, blank letters); also
// noncharacters.
struct Range {
  uint32_t first, last;
};
constexpr Range kUnseen[] = {
    {0x00ad, 0x00ad},   {0x034f, 0x034f},   {0x0600, 0x0605},   {0x061c, 0x061c},
    {0x06dd, 0x06dd},   {0x070f, 0x070f},   {0x0890, 0x0891},   {0x08e2, 0x08e2},
    {0x115f, 0x1160},   {0x17b4, 0x17b5},   {0x180b, 0x180f},   {0x200b, 0x200f},
    {0x2028, 0x202e},   {0x2060, 0x206f},   {0x3164, 0x3164},   {0xfdd0, 0xfdef},
    {0xfe00, 0xfe0f},   {0xfeff, 0xfeff},   {0xffa0, 0xffa0},   {0xfff0, 0xfffb},
    {0xfffe, 0xffff},   {0x110bd, 0x110bd}, {0x110cd, 0x110cd}, {0x13430, 0x1343f},
    {0x1bca0, 0x1bca3}, {0x1d173, 0x1d17a}, {0xe0000, 0xe0fff}, {0x10fffe, 0x10ffff},
};

bool Unseen(uint32_t code) {
  for (const Range& range : kUnseen) {
    if (code <= range.last) return code >= range.first;
  }
  return false;
}

// A well-formed UTF-8 character; length 0: the bytes are not well-formed.
struct Character {
  size_t length = 0;
  uint32_t code = 0;
  // Also excludes control characters (C0, DEL, C1).
  bool plain() const {
    return length > 0 && code >= 0x20 && (code < 0x7f || code >= 0xa0) && !Unseen(code);
  }
};

// The first character of `s`, which is not empty.
Character FirstOf(std::string_view s) {
  auto byte = [&](size_t i) { return static_cast<uint8_t>(s[i]); };
  const uint8_t first = byte(0);
  if (first < 0x80) return {1, first};
  const size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : first >= 0xc2 ? 2 : 0;
  if (length == 0 || first > 0xf4 || s.size() < length) return {};
  uint32_t code = first & (0xffu >> (length + 1));
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return {};
    code = code << 6 | (byte(i) & 0x3f);
  }
  constexpr uint32_t kLeast[] = {0, 0, 0x80, 0x800, 0x10000};
  if (code < kLeast[length] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) return {};
  return {length, code};
}

struct Form {
  std::string_view quote, backslash, before_hex;
};

void Append(std::string& out, std::string_view bytes, const Form& form) {
  constexpr char kHex[] = "0123456789abcdef";
  auto as_is = [](char c) { return c >= ' ' && c < 0x7f && c != '"' && c != '\\'; };
  while (!bytes.empty()) {
    // Most text is all of this kind.
    const auto rest = std::find_if_not(bytes.begin(), bytes.end(), as_is);
    out.append(bytes.begin(), rest);
    bytes.remove_prefix(static_cast<size_t>(rest - bytes.begin()));
    if (bytes.empty()) break;
    char c = bytes.front();
    const Character first = FirstOf(bytes);
    const size_t length = first.plain() ? first.length : 0;
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

std::string ShowJson(std::string_view json) {
  std::string out;
  for (; !json.empty();) {
    const Character first = FirstOf(json);
    if (first.plain() || first.length < 2) {  // ASCII can also be syntax between the strings
      out.append(json.substr(0, std::max<size_t>(first.length, 1)));
    } else if (first.code < 0x10000) {
      out += fmt::format("\\u{:04x}", first.code);
    } else {
      out += fmt::format("\\u{:04x}\\u{:04x}", 0xd7c0 + (first.code >> 10),
                         0xdc00 | (first.code & 0x3ff));
    }
    json.remove_prefix(std::max<size_t>(first.length, 1));
  }
  return out;
}

}  // namespace rum
