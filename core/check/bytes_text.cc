#include "check/bytes_text.h"

#include <algorithm>
#include <cstdint>
#include <cstdio>

namespace rum {
namespace {

constexpr size_t kRunLeast = 16;  // shortest run of equal bytes that is written as a repetition

bool Printable(char c) { return c >= 0x20 && c < 0x7f; }

void AppendHex(std::string* out, char c) {
  static constexpr char kDigits[] = "0123456789abcdef";
  out->push_back(kDigits[static_cast<unsigned char>(c) >> 4]);
  out->push_back(kDigits[static_cast<unsigned char>(c) & 15]);
}

bool IsText(char c) { return Printable(c) || c == '\r' || c == '\n' || c == '\t' || c == '\0'; }

std::string WriteHex(std::string_view bytes) {
  std::string out;
  for (size_t i = 0; i < bytes.size(); ++i) {
    if (i > 0 && i % 8 == 0) out.push_back(' ');
    AppendHex(&out, bytes[i]);
  }
  return out;
}

std::string WriteText(std::string_view bytes) {
  std::string out = "\"";
  for (char c : bytes) {
    switch (c) {
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      case '\0':
        out += "\\0";
        break;
      case '"':
      case '\\':
        out.push_back('\\');
        out.push_back(c);
        break;
      default:
        if (Printable(c)) {
          out.push_back(c);
        } else {
          out += "\\x";
          AppendHex(&out, c);
        }
    }
  }
  return out + "\"";
}

size_t RunAt(std::string_view bytes, size_t at) {
  size_t end = bytes.find_first_not_of(bytes[at], at);
  return (end == bytes.npos ? bytes.size() : end) - at;
}

}  // namespace

std::string HexDump(std::string_view bytes, size_t lines, const std::vector<bool>* known) {
  std::string out;
  for (size_t at = 0; at < bytes.size(); at += 16) {
    if (lines-- == 0) return out + "    ... " + std::to_string(bytes.size() - at) + " more\n";
    char offset[32];
    std::snprintf(offset, sizeof offset, "    %06zx ", at);
    std::string hex, text;
    for (size_t i = at; i < std::min(at + 16, bytes.size()); ++i) {
      bool show = !known || (*known)[i];
      hex.push_back(' ');
      if (show) {
        AppendHex(&hex, bytes[i]);
      } else {
        hex += "??";
      }
      text.push_back(show && Printable(bytes[i]) ? bytes[i] : show ? '.' : '?');
    }
    hex.resize(50, ' ');
    out += offset + hex + text + "\n";
  }
  return out;
}

std::string WriteBytes(std::string_view bytes) {
  auto count = std::count_if(bytes.begin(), bytes.end(), IsText);
  bool text = static_cast<size_t>(count) * 4 >= bytes.size() * 3;
  std::string out;
  auto add = [&](std::string_view part) {
    if (part.empty() && !bytes.empty()) return;
    if (!out.empty()) out.push_back(' ');
    out += text ? WriteText(part) : WriteHex(part);
  };
  size_t begin = 0;  // start of what is not yet written
  for (size_t at = 0; at < bytes.size();) {
    size_t run = RunAt(bytes, at);
    if (run >= kRunLeast) {
      add(bytes.substr(begin, at - begin));
      add(bytes.substr(at, 1));
      out += "*" + std::to_string(run);
      begin = at + run;
    }
    at += run;
  }
  if (begin < bytes.size() || bytes.empty()) add(bytes.substr(begin));
  return out;
}

}  // namespace rum
