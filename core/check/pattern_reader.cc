// Parses the bytes of a transcript as rum-check(1) describes them.
#include <charconv>
#include <optional>

#include "check/pattern.h"

namespace rum {
namespace {

constexpr int kGroupsMost = 16;  // nested lengths

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

// Parses the pieces of one text from the left.
class Reader {
 public:
  Reader(std::string_view text, bool wildcards) : rest_(text), wildcards_(wildcards) {}

  Result<Pattern> Read() {
    Pattern pattern;
    Status all = ReadPieces(&pattern, 0);
    if (!all) return all.error();
    if (!rest_.empty()) return Bad("'}' without an opening brace");
    return pattern;
  }

 private:
  bool SkipBlanks() {
    while (!rest_.empty() && Blank(rest_.front())) rest_.remove_prefix(1);
    return !rest_.empty();
  }

  // Reads up to the end, or to the brace that closes the length.
  Status ReadPieces(Pattern* pattern, int depth) {
    while (SkipBlanks() && rest_.front() != '}') {
      if (!pattern->empty() && pattern->back().kind == Piece::Kind::kRest) {
        return Bad("'...' is only allowed at the end");
      }
      pattern_ = pattern;
      Status one = rest_.starts_with("len") ? ReadLength(pattern, depth) : ReadPiece();
      if (!one) return one;
      if (total_ > kPatternMost) return Bad("more than 16 MiB in one line");
    }
    return Ok();
  }

  // "len32le-1{ ... }": bits, byte order, adjustment of the size.
  Status ReadLength(Pattern* pattern, int depth) {
    std::string word(rest_.substr(0, rest_.find('{')));
    if (depth == kGroupsMost) return Bad("lengths are nested too deeply");
    Piece length{.kind = Piece::Kind::kLength, .bytes = {}, .parts = {}};
    std::string_view text = std::string_view(word).substr(3);
    size_t bits = 0;
    auto number = std::from_chars(text.data(), text.data() + text.size(), bits);
    text.remove_prefix(static_cast<size_t>(number.ptr - text.data()));
    length.count = bits / 8;
    length.little = text.starts_with("le");
    if (length.little) text.remove_prefix(2);
    bool fine = true;
    if (text.starts_with('+') || text.starts_with('-')) {
      if (text.starts_with('+')) text.remove_prefix(1);
      auto end = std::from_chars(text.data(), text.data() + text.size(), length.adjust);
      fine = end.ec == std::errc() && length.adjust < 1000 && length.adjust > -1000;
      text.remove_prefix(static_cast<size_t>(end.ptr - text.data()));
    }
    fine &= bits == 8 || bits == 16 || bits == 24 || bits == 32 || bits == 64;
    if (!fine || !text.empty() || word.size() >= rest_.size()) {
      return Bad("'" + std::string(rest_.substr(0, 10)) +
                 "' is not a length: write one such as len16{...}, len24le{...} or len32+4{...}");
    }
    rest_.remove_prefix(word.size() + 1);
    if (Status parts = ReadPieces(&length.parts, depth + 1); !parts) return parts;
    if (rest_.empty()) return Bad("the closing brace of " + word + "{ is missing");
    rest_.remove_prefix(1);
    pattern_ = pattern;
    return Add(std::move(length));
  }

  Status ReadPiece() {
    if (rest_.front() == '"') return ReadText();
    if (rest_.starts_with("...")) {
      rest_.remove_prefix(3);
      return Add({.kind = Piece::Kind::kRest, .bytes = {}, .parts = {}});
    }
    if (rest_.starts_with("??")) {
      rest_.remove_prefix(2);
      auto count = ReadFactor();
      if (!count) return count.error();
      return Add({.kind = Piece::Kind::kAny, .bytes = {}, .count = *count, .parts = {}});
    }
    if (rest_.front() == '$') return ReadName();
    return ReadHex();
  }

  bool AtEndOfPiece() const {
    return rest_.empty() || Blank(rest_.front()) || rest_.front() == '}';
  }

  Status Add(Piece piece) {
    using Kind = Piece::Kind;
    bool fixed =
        piece.kind == Kind::kBytes || piece.kind == Kind::kUse || piece.kind == Kind::kLength;
    if (!wildcards_ && !fixed) return Bad("wildcards and '$name:N' are for expectations");
    if (!AtEndOfPiece()) {
      return Bad("a blank is missing before '" + std::string(rest_.substr(0, 10)) + "'");
    }
    total_ += piece.kind == Kind::kBytes ? piece.bytes.size() : piece.count;
    if (piece.kind == Kind::kBytes && !pattern_->empty() && pattern_->back().kind == Kind::kBytes) {
      pattern_->back().bytes += piece.bytes;
    } else {
      pattern_->push_back(std::move(piece));
    }
    return Ok();
  }

  Status AddBytes(const std::string& bytes) {
    auto times = ReadFactor();
    if (!times) return times.error();
    if (bytes.size() * *times > kPatternMost) return Bad("more than 16 MiB in one line");
    if (bytes.size() == 1) {
      return Add(
          {.kind = Piece::Kind::kBytes, .bytes = std::string(*times, bytes[0]), .parts = {}});
    }
    std::string all;
    for (size_t i = 0; i < *times; ++i) all += bytes;
    return Add({.kind = Piece::Kind::kBytes, .bytes = std::move(all), .parts = {}});
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

  // "*3"; 1 if there is none.
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
    if (rest_.empty() || rest_.front() != ':') {
      return Add({.kind = Piece::Kind::kUse, .bytes = std::move(name), .parts = {}});
    }
    rest_.remove_prefix(1);
    auto count = ReadNumber();
    if (!count) return count.error();
    return Add(
        {.kind = Piece::Kind::kCapture, .bytes = std::move(name), .count = *count, .parts = {}});
  }

  Status ReadHex() {
    std::string bytes;
    while (rest_.size() >= 2 && HexDigit(rest_[0]) >= 0 && HexDigit(rest_[1]) >= 0) {
      bytes.push_back(static_cast<char>(HexDigit(rest_[0]) * 16 + HexDigit(rest_[1])));
      rest_.remove_prefix(2);
    }
    if (bytes.empty() || (!AtEndOfPiece() && rest_.front() != '*')) {
      return Bad("'" + std::string(rest_.substr(0, 10)) +
                 "' is not a \"text\", pairs of hex digits, $name, len16{...}, ?? or ...");
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
                   " is not an escape: \\n \\r \\t \\0 \\xHH \\\\ \\\"");
      bytes.push_back(*escaped);
    }
    if (i >= rest_.size()) return Bad("the closing quotation mark is missing");
    rest_.remove_prefix(i + 1);
    return AddBytes(bytes);
  }

  // Starts at a backslash; leaves `i` at the last character of the escape.
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
  Pattern* pattern_ = nullptr;  // receives the pieces
  size_t total_ = 0;
};

}  // namespace

Result<Pattern> ParsePattern(std::string_view text, bool wildcards) {
  return Reader(text, wildcards).Read();
}

}  // namespace rum
