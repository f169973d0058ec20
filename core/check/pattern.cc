#include "check/pattern.h"

#include <algorithm>
#include <charconv>
#include <optional>

namespace rum {
namespace {

Error Bad(std::string text) { return Error{Fault::kUsage, std::move(text)}; }

bool Blank(char c) { return c == ' ' || c == '\t'; }

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool NameCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

// Reads the pieces of one text from the left.
class Reader {
 public:
  Reader(std::string_view text, bool wildcards) : rest_(text), wildcards_(wildcards) {}

  Result<Pattern> Read() {
    while (SkipBlanks()) {
      if (!pattern_.empty() && pattern_.back().kind == Piece::Kind::kRest) {
        return Bad("'...' stands at the end only");
      }
      Status one = ReadPiece();
      if (!one) return one.error();
      if (total_ > kPatternMost) return Bad("more than 16 MiB in one line");
    }
    return std::move(pattern_);
  }

 private:
  bool SkipBlanks() {
    while (!rest_.empty() && Blank(rest_.front())) rest_.remove_prefix(1);
    return !rest_.empty();
  }

  Status ReadPiece() {
    if (rest_.front() == '"') return ReadText();
    if (rest_.starts_with("...")) {
      rest_.remove_prefix(3);
      return Add({Piece::Kind::kRest, {}, 0});
    }
    if (rest_.starts_with("??")) {
      rest_.remove_prefix(2);
      auto count = ReadFactor();
      if (!count) return count.error();
      return Add({Piece::Kind::kAny, {}, *count});
    }
    if (rest_.front() == '$') return ReadName();
    return ReadHex();
  }

  Status Add(Piece piece) {
    using Kind = Piece::Kind;
    if (!wildcards_ && piece.kind != Kind::kBytes && piece.kind != Kind::kUse) {
      return Bad("wildcards and '$name:N' are for expectations");
    }
    if (!rest_.empty() && !Blank(rest_.front())) {
      return Bad("a blank is missing before '" + std::string(rest_.substr(0, 10)) + "'");
    }
    total_ += piece.kind == Kind::kBytes ? piece.bytes.size() : piece.count;
    if (piece.kind == Kind::kBytes && !pattern_.empty() && pattern_.back().kind == Kind::kBytes) {
      pattern_.back().bytes += piece.bytes;
    } else {
      pattern_.push_back(std::move(piece));
    }
    return Ok();
  }

  Status AddBytes(const std::string& bytes) {
    auto times = ReadFactor();
    if (!times) return times.error();
    if (bytes.size() * *times > kPatternMost) return Bad("more than 16 MiB in one line");
    std::string all;
    for (size_t i = 0; i < *times; ++i) all += bytes;
    return Add({Piece::Kind::kBytes, std::move(all), 0});
  }

  Result<size_t> ReadNumber() {
    size_t number = 0;
    auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), number);
    if (error != std::errc() || number == 0 || number > kPatternMost) {
      return Bad("a number from 1 to 16777216 is missing before '" +
                 std::string(rest_.substr(0, 10)) + "'");
    }
    rest_.remove_prefix(static_cast<size_t>(end - rest_.data()));
    return number;
  }

  // "*3", or nothing, which is 1.
  Result<size_t> ReadFactor() {
    if (rest_.empty() || rest_.front() != '*') return size_t{1};
    rest_.remove_prefix(1);
    return ReadNumber();
  }

  Status ReadName() {
    size_t end = 1;
    while (end < rest_.size() && NameCharacter(rest_[end])) ++end;
    std::string name(rest_.substr(1, end - 1));
    rest_.remove_prefix(end);
    if (name.empty()) return Bad("a name is missing after '$'");
    if (rest_.empty() || rest_.front() != ':') return Add({Piece::Kind::kUse, std::move(name), 0});
    rest_.remove_prefix(1);
    auto count = ReadNumber();
    if (!count) return count.error();
    return Add({Piece::Kind::kCapture, std::move(name), *count});
  }

  Status ReadHex() {
    std::string bytes;
    while (rest_.size() >= 2 && HexDigit(rest_[0]) >= 0 && HexDigit(rest_[1]) >= 0) {
      bytes.push_back(static_cast<char>(HexDigit(rest_[0]) * 16 + HexDigit(rest_[1])));
      rest_.remove_prefix(2);
    }
    if (bytes.empty() || (!rest_.empty() && !Blank(rest_.front()) && rest_.front() != '*')) {
      return Bad("'" + std::string(rest_.substr(0, 10)) +
                 "' is not a \"text\", pairs of hex digits, $name, ?? or ...");
    }
    return AddBytes(bytes);
  }

  Status ReadText() {
    std::string bytes;
    size_t i = 1;
    for (; i < rest_.size() && rest_[i] != '"'; ++i) {
      if (rest_[i] != '\\') {
        bytes.push_back(rest_[i]);
        continue;
      }
      auto escaped = Escape(&i);
      if (!escaped)
        return Bad("\\" + std::string(rest_.substr(i, 1)) +
                   " is no escape: \\n \\r \\t \\0 \\xHH \\\\ \\\"");
      bytes.push_back(*escaped);
    }
    if (i >= rest_.size()) return Bad("the closing quotation mark is missing");
    rest_.remove_prefix(i + 1);
    return AddBytes(bytes);
  }

  // At a backslash; leaves `i` at the last character of the escape.
  std::optional<char> Escape(size_t* i) {
    if (++*i >= rest_.size()) return {};
    switch (rest_[*i]) {
      case 'n':
        return '\n';
      case 'r':
        return '\r';
      case 't':
        return '\t';
      case '0':
        return '\0';
      case '\\':
      case '"':
        return rest_[*i];
      case 'x': {
        if (*i + 2 >= rest_.size()) return {};
        int high = HexDigit(rest_[*i + 1]), low = HexDigit(rest_[*i + 2]);
        if (high < 0 || low < 0) return {};
        *i += 2;
        return static_cast<char>(high * 16 + low);
      }
      default:
        return {};
    }
  }

  std::string_view rest_;
  bool wildcards_;
  Pattern pattern_;
  size_t total_ = 0;
};

Result<std::string_view> Find(const Captures& captures, const Captures& fresh,
                              const std::string& name) {
  if (auto found = fresh.find(name); found != fresh.end()) return std::string_view(found->second);
  auto found = captures.find(name);
  if (found == captures.end()) return Bad("nothing was captured as $" + name);
  return std::string_view(found->second);
}

bool Printable(char c) { return c >= 0x20 && c < 0x7f; }

void AppendHex(std::string* out, char c) {
  static constexpr char kDigits[] = "0123456789abcdef";
  out->push_back(kDigits[static_cast<unsigned char>(c) >> 4]);
  out->push_back(kDigits[static_cast<unsigned char>(c) & 15]);
}

// `known` marks the bytes that are shown as they are; the others are "??". Null: all are known.
std::string Dump(std::string_view bytes, const std::vector<bool>* known, size_t lines) {
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

}  // namespace

Result<Pattern> ParsePattern(std::string_view text, bool wildcards) {
  return Reader(text, wildcards).Read();
}

Result<std::string> RenderPattern(const Pattern& pattern, const Captures& captures) {
  std::string bytes;
  for (const Piece& piece : pattern) {
    if (piece.kind == Piece::Kind::kBytes) {
      bytes += piece.bytes;
    } else {
      auto captured = Find(captures, {}, piece.bytes);
      if (!captured) return captured.error();
      bytes += *captured;
    }
  }
  return bytes;
}

Result<Verdict> MatchPattern(const Pattern& pattern, std::string_view got,
                             const Captures& captures) {
  using Kind = Piece::Kind;
  Verdict verdict{Verdict::Kind::kMatch, 0, {}};
  size_t at = 0;
  for (const Piece& piece : pattern) {
    if (piece.kind == Kind::kRest) {
      at = std::max(at, got.size());
      break;
    }
    if (piece.kind == Kind::kAny || piece.kind == Kind::kCapture) {
      if (piece.kind == Kind::kCapture && at + piece.count <= got.size()) {
        verdict.captured[piece.bytes] = got.substr(at, piece.count);
      }
      at += piece.count;
      continue;
    }
    std::string_view want = piece.bytes;
    if (piece.kind == Kind::kUse) {
      if (at > got.size()) continue;  // too short already, and the capture may be part of it
      auto captured = Find(captures, verdict.captured, piece.bytes);
      if (!captured) return captured.error();
      want = *captured;
    }
    for (size_t i = 0; i < want.size() && at + i < got.size(); ++i) {
      if (want[i] != got[at + i]) return Verdict{Verdict::Kind::kDifferent, at + i, {}};
    }
    at += want.size();
  }
  verdict.size = at;
  if (at > got.size()) verdict.kind = Verdict::Kind::kShort;
  return verdict;
}

std::string DumpPattern(const Pattern& pattern, const Captures& captures) {
  std::string bytes;
  std::vector<bool> known;
  bool rest = false;
  for (const Piece& piece : pattern) {
    auto captured = piece.kind == Piece::Kind::kUse ? captures.find(piece.bytes) : captures.end();
    if (piece.kind == Piece::Kind::kBytes) {
      bytes += piece.bytes;
    } else if (captured != captures.end()) {
      bytes += captured->second;
    } else if (piece.kind == Piece::Kind::kRest) {
      rest = true;
    } else {
      known.resize(bytes.size(), true);
      bytes.append(piece.count, '?');
      known.resize(bytes.size(), false);
    }
    if (piece.kind == Piece::Kind::kBytes || captured != captures.end()) {
      known.resize(bytes.size(), true);
    }
  }
  return Dump(bytes, &known, 16) + (rest ? "    and whatever follows\n" : "");
}

std::string HexDump(std::string_view bytes, size_t lines) { return Dump(bytes, nullptr, lines); }

std::string WriteBytes(std::string_view bytes) {
  auto text = std::count_if(bytes.begin(), bytes.end(), [](char c) {
    return Printable(c) || c == '\r' || c == '\n' || c == '\t' || c == '\0';
  });
  std::string out;
  if (static_cast<size_t>(text) * 4 < bytes.size() * 3) {
    for (size_t i = 0; i < bytes.size(); ++i) {
      if (i > 0 && i % 8 == 0) out.push_back(' ');
      AppendHex(&out, bytes[i]);
    }
    return out;
  }
  out = "\"";
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

}  // namespace rum
