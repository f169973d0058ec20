#include "check/transcript.h"

#include <cctype>
#include <fstream>
#include <optional>
#include <sstream>
#include <utility>

#include "check/transcript_line.h"
#include "rum/module.h"

namespace rum {
namespace {

using Line = TranscriptLine;
using Word = TranscriptLine::Word;

struct Reason {
  std::string_view name;
  std::string_view log_word;
  uint32_t number;
};
constexpr Reason kReasons[] = {
#define CLOSE_REASON(name, word, explanation) {#name, word, RUM_CLOSE_##name},
#include "base/close_reasons.def"
#undef CLOSE_REASON
};

Error Bad(std::string text) { return Error{Fault::kUsage, std::move(text)}; }

// Checks that need the whole transcript.
Status JudgeOrder(const Transcript& transcript) {
  bool begun = false, expects = false;
  for (const Line& line : transcript.lines) {
    if (line.word == Word::kOption && begun) {
      return Bad(transcript.file + ":" + std::to_string(line.number_of_line) +
                 ": options must precede all other lines");
    }
    begun |= line.word >= Word::kOpen || line.word == Word::kSession;
    expects |= line.expects();
  }
  if (expects) return Ok();
  return Bad(transcript.file + ":1: it has no 'expect' line, and so cannot fail");
}

}  // namespace

Result<Transcript> ReadTranscript(std::string_view text, const std::string& file) {
  Transcript transcript{file, {}};
  std::string whole;  // a line and its continuation lines
  int number = 0, begun = 0;
  std::optional<size_t> margin;  // of the first line: a transcript may be indented as a whole
  auto at = [&](int line) { return file + ":" + std::to_string(line) + ": "; };
  auto finish = [&]() -> Status {
    if (whole.empty()) return Ok();
    auto line = ReadTranscriptLine(whole);
    if (!line) return Bad(at(begun) + line.error().text);
    line->number_of_line = begun;
    transcript.lines.push_back(std::move(*line));
    whole.clear();
    return Ok();
  };
  while (!text.empty()) {
    size_t end = text.find('\n');
    std::string_view raw = text.substr(0, end);
    text.remove_prefix(end == text.npos ? text.size() : end + 1);
    ++number;
    raw = raw.substr(0, FindOutside(raw, '#'));
    std::string_view line = TrimLine(raw);
    if (line.empty()) continue;
    const size_t indent = raw.find_first_not_of(" \t");
    if (!margin) margin = indent;
    if (indent > *margin) {  // an indented line continues the previous one
      whole += " " + std::string(line);
      continue;
    }
    if (Status status = finish(); !status) return status.error();
    whole = line;
    begun = number;
  }
  if (Status status = finish(); !status) return status.error();
  if (Status status = JudgeOrder(transcript); !status) return status.error();
  return transcript;
}

Result<Transcript> ReadTranscriptFile(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream text;
  if (in) text << in.rdbuf();
  if (!in) return Bad(path + ": cannot be read");
  return ReadTranscript(text.str(), path);
}

std::string CloseReasonName(uint32_t reason) {
  for (const Reason& one : kReasons) {
    if (one.number == reason) return std::string(one.name);
  }
  return "reason " + std::to_string(reason);
}

uint32_t CloseReasonByName(std::string_view name) {
  std::string upper(name);
  for (char& c : upper) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  for (const Reason& one : kReasons) {
    if (one.name == upper || one.log_word == name) return one.number;
  }
  return 0;
}

}  // namespace rum
