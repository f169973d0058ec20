#include "mysql/account_name.h"

#include <algorithm>

namespace rum::mysql {
namespace {

constexpr size_t kMaxCharacters = 128;

enum class Charset : uint8_t {
  kUtf8,
  kLatin1,
  kAscii,  // any other charset in which 0x01 to 0x7e are ASCII
  kSwe7,   // some of these are letters
};

// The collations' numbers, the same in all servers. A server replaces a number that it does not
// know by its own character set, an extension of ASCII.
Charset CharsetOf(uint16_t number) {
  struct Row {
    uint16_t first, last;
    Charset charset;
  };
  static constexpr Row kRows[] = {
      {5, 5, Charset::kLatin1},   {8, 8, Charset::kLatin1},   {10, 10, Charset::kSwe7},
      {15, 15, Charset::kLatin1}, {31, 31, Charset::kLatin1}, {33, 33, Charset::kUtf8},
      {45, 46, Charset::kUtf8},   {47, 49, Charset::kLatin1}, {82, 82, Charset::kSwe7},
      {83, 83, Charset::kUtf8},   {94, 94, Charset::kLatin1}, {192, 215, Charset::kUtf8},
      {223, 247, Charset::kUtf8}, {255, 255, Charset::kUtf8},
  };
  for (const Row& row : kRows) {
    if (number >= row.first && number <= row.last) return row.charset;
  }
  return Charset::kAscii;
}

bool IsInQuotes(std::string_view name) {
  return name.size() > 1 && name.front() == '\'' && name.back() == '\'';
}

// Excludes DEL, which MariaDB's latin2 lacks.
bool IsAscii(std::string_view name) {
  return std::all_of(name.begin(), name.end(), [](char c) { return (c & 0x80) == 0 && c != 0x7f; });
}

// Accepts characters up to U+FFFF, without surrogates, in their shortest encoding.
bool IsUtf8(std::string_view name) {
  Bytes bytes = AsBytes(name);
  for (size_t at = 0; at < bytes.size();) {
    uint8_t first = bytes[at];
    size_t size = first < 0x80                    ? 1
                  : first >= 0xc2 && first < 0xe0 ? 2
                  : (first & 0xf0) == 0xe0        ? 3
                                                  : 0;
    if (size == 0 || bytes.size() - at < size) return false;
    for (size_t i = 1; i < size; ++i) {
      if ((bytes[at + i] & 0xc0) != 0x80) return false;
    }
    if (first == 0xe0 && bytes[at + 1] < 0xa0) return false;
    if (first == 0xed && bytes[at + 1] >= 0xa0) return false;
    at += size;
  }
  return true;
}

// The servers' latin1 is cp1252; unassigned bytes keep their value.
std::string FromLatin1(std::string_view name) {
  static constexpr uint16_t kFrom80[32] = {
      0x20ac, 0x0081, 0x201a, 0x0192, 0x201e, 0x2026, 0x2020, 0x2021, 0x02c6, 0x2030, 0x0160,
      0x2039, 0x0152, 0x008d, 0x017d, 0x008f, 0x0090, 0x2018, 0x2019, 0x201c, 0x201d, 0x2022,
      0x2013, 0x2014, 0x02dc, 0x2122, 0x0161, 0x203a, 0x0153, 0x009d, 0x017e, 0x0178};
  std::string text;
  for (uint8_t byte : AsBytes(name)) {
    unsigned code = byte >= 0x80 && byte < 0xa0 ? kFrom80[byte - 0x80] : byte;
    if (code < 0x80) {
      text += static_cast<char>(code);
    } else if (code < 0x800) {
      text += {static_cast<char>(0xc0 | code >> 6), static_cast<char>(0x80 | (code & 0x3f))};
    } else {
      text += {static_cast<char>(0xe0 | code >> 12), static_cast<char>(0x80 | (code >> 6 & 0x3f)),
               static_cast<char>(0x80 | (code & 0x3f))};
    }
  }
  return text;
}

size_t CountCharacters(std::string_view utf8) {
  return static_cast<size_t>(
      std::count_if(utf8.begin(), utf8.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

}  // namespace

Parsed<AccountName> FoldAccountName(std::string_view received, uint16_t charset, NameIn in) {
  std::string_view bare = received;
  if (in == NameIn::kResponse && IsInQuotes(bare)) bare = bare.substr(1, bare.size() - 2);
  if (IsInQuotes(bare)) return {.why = "the user name is in quotes"};
  // Longer names are refused before their characters are checked.
  if (bare.size() > 3 * kMaxCharacters) {
    return {.why = "the user name is longer than 128 characters"};
  }
  AccountName account{.name = std::string(bare), .sent = std::string(bare)};
  Charset known = CharsetOf(charset);
  bool foreign = known == Charset::kSwe7 && bare.find_first_of("@[\\]^`{|}~") != bare.npos;
  if (foreign || !IsAscii(bare)) {
    switch (known) {
      case Charset::kUtf8:
        if (!IsUtf8(bare)) return {.why = "the user name has bytes that are not characters"};
        break;
      case Charset::kLatin1:
        account.name = FromLatin1(bare);
        break;
      case Charset::kAscii:
      case Charset::kSwe7:
        return {.why = "the user name is in a character set that rum does not support"};
    }
  }
  if (CountCharacters(account.name) > kMaxCharacters) {
    return {.why = "the user name is longer than 128 characters"};
  }
  return {.value = std::move(account)};
}

}  // namespace rum::mysql
