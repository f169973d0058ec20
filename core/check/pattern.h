// Bytes as a transcript writes them: "text\r\n" 00ff10 "x"*3, len16{...} for a length and what it
// counts, and in expectations also wildcards (??, ...) and captures ($nonce:20). Pure: text in,
// pieces out; pieces and bytes in, a verdict out.
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
    kAny,      // `count` bytes, whatever they are
    kCapture,  // `count` bytes, kept under the name in `bytes`
    kUse,      // what was captured under the name in `bytes`
    kRest,     // all that is left; only at the end, of a length's parts, too
    kLength,   // the size of `parts` and `adjust`, in `count` bytes, and then the parts
  };
  Kind kind;
  std::string bytes;
  size_t count = 0;
  bool little = false;  // the number begins with its lowest byte
  int64_t adjust = 0;
  std::vector<Piece> parts;
};

using Pattern = std::vector<Piece>;
using Captures = std::map<std::string, std::string>;

// The longest a pattern may stand for.
inline constexpr size_t kPatternMost = 16 * 1024 * 1024;

// Reads a whole text. With `wildcards` false only bytes and uses are allowed: what is to be sent.
Result<Pattern> ParsePattern(std::string_view text, bool wildcards);

// The bytes to send. An error names the capture that is not there yet.
Result<std::string> RenderPattern(const Pattern& pattern, const Captures& captures);

// How a pattern compares to the beginning of `got`.
struct Verdict {
  enum class Kind : uint8_t { kMatch, kShort, kDifferent } kind;
  size_t size;  // kMatch: bytes consumed; kShort: bytes wanted; kDifferent: where
  Captures captured;
};
Result<Verdict> MatchPattern(const Pattern& pattern, std::string_view got,
                             const Captures& captures);

// What is expected, for a report: "??" where any byte will do.
std::string DumpPattern(const Pattern& pattern, const Captures& captures);

}  // namespace rum
