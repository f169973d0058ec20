#include "map/column.h"

#include "base/escape.h"

namespace rum {
namespace {

constexpr char kHex[] = "0123456789abcdef";

int HexValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

void AppendHex(std::string& out, unsigned char byte) {
  out += {'\\', 'x', kHex[byte >> 4], kHex[byte & 15]};
}

Error Bad(std::string text) { return Error{Fault::kMap, std::move(text)}; }

}  // namespace

std::string FormatColumn(std::string_view bytes) {
  if (bytes.empty()) return "-";
  std::string word;
  word.reserve(bytes.size());
  for (char c : bytes) {
    auto byte = static_cast<unsigned char>(c);
    if (c == ' ') {
      word += "\\s";
    } else if (c == '\\') {
      word += "\\\\";
    } else if (byte <= 0x20 || byte >= 0x7f || (c == '#' && word.empty()) || bytes == "-" ||
               bytes == "=") {
      AppendHex(word, byte);
    } else {
      word += c;
    }
  }
  return word;
}

Result<std::string> ParseColumn(std::string_view word) {
  if (word == "-") return std::string();
  if (word[0] == '#') {
    return Bad(
        "a comment stands on a line of its own (a word that begins with # is written \\x23)");
  }
  std::string out;
  out.reserve(word.size());
  for (size_t i = 0; i < word.size(); ++i) {
    auto byte = static_cast<unsigned char>(word[i]);
    if (byte < 0x20 || byte == 0x7f) {
      std::string why = "a control byte must be written ";
      AppendHex(why, byte);
      return Bad(std::move(why));
    }
    if (word[i] != '\\') {
      out += word[i];
      continue;
    }
    char kind = i + 1 < word.size() ? word[++i] : '\0';
    if (kind == 's') {
      out += ' ';
    } else if (kind == '\\') {
      out += '\\';
    } else if (kind == 'x' && i + 2 < word.size() && HexValue(word[i + 1]) >= 0 &&
               HexValue(word[i + 2]) >= 0) {
      out += static_cast<char>(HexValue(word[i + 1]) << 4 | HexValue(word[i + 2]));
      i += 2;
    } else {
      return Bad("write xHH (two hexadecimal digits), s or a backslash after a backslash");
    }
  }
  return out;
}

std::string QuoteBytes(std::string_view bytes) {
  constexpr size_t kShown = 80;
  std::string text = "'";
  AppendEscaped(text, bytes.substr(0, kShown));
  return text + (bytes.size() > kShown ? "...'" : "'");
}

}  // namespace rum
