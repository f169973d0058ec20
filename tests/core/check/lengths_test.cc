// Lengths in transcripts: written, nested, adjusted, and compared with what a module sends.
#include <gtest/gtest.h>

#include "check/pattern.h"

namespace rum {
namespace {

using Kind = Verdict::Kind;

std::string Bytes(std::string_view text, const Captures& captures = {}) {
  auto pattern = ParsePattern(text, false);
  if (!pattern) return "error: " + pattern.error().text;
  auto bytes = RenderPattern(*pattern, captures);
  return bytes ? *bytes : "error: " + bytes.error().text;
}

Verdict Match(std::string_view text, std::string_view got, const Captures& captures = {}) {
  auto pattern = ParsePattern(text, true);
  EXPECT_TRUE(pattern) << text;
  auto verdict = MatchPattern(*pattern, got, captures);
  EXPECT_TRUE(verdict) << text;
  return *verdict;
}

std::string Raw(std::initializer_list<int> bytes) {
  return std::string(bytes.begin(), bytes.end());
}

TEST(Lengths, CountWhatTheirBracesHold) {
  EXPECT_EQ(Bytes("len8{\"abc\"}"), "\3abc");
  EXPECT_EQ(Bytes("len16{\"abc\"}"), Raw({0, 3, 'a', 'b', 'c'}));
  EXPECT_EQ(Bytes("len24{ff}"), Raw({0, 0, 1, 0xff}));
  EXPECT_EQ(Bytes("len32{ \"a\"*2 }  00"), Raw({0, 0, 0, 2, 'a', 'a', 0}));
  EXPECT_EQ(Bytes("len64{}"), std::string(8, '\0'));
  EXPECT_EQ(Bytes("len16le{00*258}").substr(0, 2), Raw({2, 1}));
  EXPECT_EQ(Bytes("len24le{00*258}").substr(0, 3), Raw({2, 1, 0}));
  EXPECT_EQ(Bytes("len32le{$n}", {{"n", "xyz"}}), Raw({3, 0, 0, 0, 'x', 'y', 'z'}));
}

TEST(Lengths, CountMoreOrLessThanTheirBracesHold) {
  EXPECT_EQ(Bytes("\"Q\" len32+4{\"x\" 00}"), Raw({'Q', 0, 0, 0, 6, 'x', 0}));  // itself, too
  EXPECT_EQ(Bytes("len24le-1{07 \"ab\"}"), Raw({2, 0, 0, 7, 'a', 'b'}));  // not the number behind
}

TEST(Lengths, AreNested) {
  EXPECT_EQ(Bytes("len16{len8{\"a\"} len8{\"bc\"}}"), Raw({0, 5, 1, 'a', 2, 'b', 'c'}));
}

TEST(Lengths, RefuseWhatIsWrittenWrongOrDoesNotFit) {
  for (const char* text :
       {"len8", "len8{", "len8{\"a\"", "len12{00}", "len8}", "len8x{00}", "}", "len8{00}}",
        "len8+{00}", "len8+1000{00}", "len8{00}00", "len{00}", "len8-2{00}", "len8{00}len8{00}",
        "len8{00*256}", "len8{??}", "len8{...}", "len8{$never}"}) {
    EXPECT_TRUE(Bytes(text).starts_with("error: ")) << text;
  }
  std::string deep;
  for (int i = 0; i < 17; ++i) deep += "len32{";
  EXPECT_TRUE(Bytes(deep + std::string(17, '}')).starts_with("error: "));
  EXPECT_FALSE(ParsePattern("len8{... 00}", true));
}

TEST(Lengths, AreComparedWithWhatCame) {
  EXPECT_EQ(Match("len8{\"a\" ??}", "\2ab").kind, Kind::kMatch);
  EXPECT_EQ(Match("len8{\"a\" ??}", "\2ab").size, 3u);
  EXPECT_EQ(Match("len8{\"a\" ??}", "\2a").kind, Kind::kShort);
  EXPECT_EQ(Match("len8{\"a\" ??}", "\3ab").kind, Kind::kDifferent);
  EXPECT_EQ(Match("len8{\"a\" ??}", "\3ab").size, 0u);
  EXPECT_EQ(Match("len8{$n:2} $n", "\2abab").captured.at("n"), "ab");
  EXPECT_EQ(Match("$n:2 len8{$n}", "ab\2ab").kind, Kind::kMatch);
  EXPECT_EQ(Match("$n:2 len8{$n}", "a").kind, Kind::kShort);
}

TEST(Lengths, ThatEndByDotsAreAsLongAsTheNumberSays) {
  const char* text = "len8{\"a\" ...} \"z\"";
  EXPECT_EQ(Match(text, "\4abcdz!").kind, Kind::kMatch);
  EXPECT_EQ(Match(text, "\4abcdz!").size, 6u);
  EXPECT_EQ(Match(text, "\4abcd").kind, Kind::kShort);
  EXPECT_EQ(Match(text, "\4abc").kind, Kind::kShort);
  EXPECT_EQ(Match(text, "").kind, Kind::kShort);
  EXPECT_EQ(Match(text, "\4abcdx").kind, Kind::kDifferent);
  EXPECT_EQ(Match(text, "\4xbcdz").size, 1u);
  EXPECT_EQ(Match("len8{\"abc\" ...}", "\2abc").kind, Kind::kDifferent);  // too small for the parts
  EXPECT_EQ(Match("len32{...}", "\xff\xff\xff\xff").kind, Kind::kDifferent);
  EXPECT_EQ(Match("len16{len8{...} \"z\"}", Raw({0, 3, 1, 'a', 'z'})).kind, Kind::kMatch);
}

TEST(Lengths, AreShownInReports) {
  auto pattern = ParsePattern("len16{\"ab\" ??}", true);
  EXPECT_NE(DumpPattern(*pattern, {}).find("00 03 61 62 ??"), std::string::npos);
  pattern = ParsePattern("len16{\"ab\" ...}", true);
  EXPECT_NE(DumpPattern(*pattern, {}).find("?? ?? 61 62"), std::string::npos);
}

}  // namespace
}  // namespace rum
