// Bytes in the notation of transcripts: "text\r
// " 00ff10 "x"*3, len16{...} for a length and what it counts, and in expectations also wildcards
// (??, ...) and captures ($nonce:20). Pure: text becomes pieces; pieces and bytes give a verdict.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace rum {

struct Piece {
  enum class Kind : uint8_t {
    kBytes,    // these bytes
    kAny,      // `count` arbitrary bytes
    kCapture,  // `count` bytes, stored under the name in `bytes`
    kUse,      // the bytes stored under the name in `bytes`
    kRest,     // all remaining bytes; only as the last piece, also of a length
    kLength,   // the size of `parts` plus `adjust` in `count` bytes, then the parts
  };
  Kind kind;
  std::string bytes;
  size_t count = 0;
  bool little = false;  // the number is little-endian
  int64_t adjust = 0;
  std::vector<Piece> parts;
};

using Pattern = std::vector<Piece>;
using Captures = std::map<std::string, std::string>;

// Most bytes that a pattern may stand for.
inline constexpr size_t kPatternMost = 16 * 1024 * 1024;

// Parses a whole text. With `wildcards` false, for bytes to send, only bytes and uses are allowed.
Result<Pattern> ParsePattern(std::string_view text, bool wildcards);

// The bytes to send. An error names the missing capture.
Result<std::string> RenderPattern(const Pattern& pattern, const Captures& captures);

// Result of comparing a pattern with the beginning of `got`.
struct Verdict {
  enum class Kind : uint8_t { kMatch, kShort, kDifferent } kind;
  size_t size;  // kMatch: bytes consumed; kShort: bytes wanted; kDifferent: offset
  Captures captured;
};
Result<Verdict> MatchPattern(const Pattern& pattern, std::string_view got,
                             const Captures& captures);

// The expected bytes, for a report; "??" for any byte.
std::string DumpPattern(const Pattern& pattern, const Captures& captures);

}  // namespace rum
