// Patterns, the lines of a transcript, and how they are played.
#include "check/transcript.h"

#include <gtest/gtest.h>

#include "check/bytes_text.h"
#include "check/player.h"
#include "little_module.h"

namespace rum {
namespace {

std::string Bytes(std::string_view text) {
  auto pattern = ParsePattern(text, false);
  if (!pattern) return "error: " + pattern.error().text;
  auto bytes = RenderPattern(*pattern, {});
  return bytes ? *bytes : "error: " + bytes.error().text;
}

TEST(Pattern, ReadsTextHexAndRepetition) {
  EXPECT_EQ(Bytes(R"("a\r\n\t\\\"\x41")"), "a\r\n\t\\\"A");
  EXPECT_EQ(Bytes(R"("a\0b")"), std::string("a\0b", 3));
  EXPECT_EQ(Bytes("00 0aFF"), std::string("\0\n\xff", 3));
  EXPECT_EQ(Bytes("\"ab\"*3 20*2 \"\""), "ababab  ");
  EXPECT_EQ(Bytes("\"# = $ ??\""), "# = $ ??");
}

TEST(Pattern, RefusesWhatIsWrittenWrong) {
  for (const char* text :
       {"\"open", "\"\\q\"", "\"\\x4\"", "\"\\", "0", "abc", "0g", "\"a\"\"b\"", "\"a\"*0",
        "\"a\"*", "\"a\"*x", "\"a\"*99999999", "word", "$", "00*3x", "\"aa\"*16777216"}) {
    EXPECT_TRUE(Bytes(text).starts_with("error: ")) << text;
  }
  for (const char* text : {"??", "...", "$n:3"}) {
    EXPECT_FALSE(ParsePattern(text, false)) << text;
    EXPECT_TRUE(ParsePattern(text, true)) << text;
  }
  EXPECT_FALSE(ParsePattern("... 00", true));
  EXPECT_FALSE(ParsePattern("??*", true));
  EXPECT_FALSE(ParsePattern("$n:", true));
}

Verdict Match(std::string_view text, std::string_view got, const Captures& captures = {}) {
  auto pattern = ParsePattern(text, true);
  EXPECT_TRUE(pattern) << text;
  auto verdict = MatchPattern(*pattern, got, captures);
  EXPECT_TRUE(verdict) << text;
  return *verdict;
}

TEST(Pattern, MatchesABeginning) {
  using Kind = Verdict::Kind;
  EXPECT_EQ(Match("\"ab\"", "abc").kind, Kind::kMatch);
  EXPECT_EQ(Match("\"ab\"", "abc").size, 2u);
  EXPECT_EQ(Match("\"abc\"", "ab").kind, Kind::kShort);
  EXPECT_EQ(Match("\"abc\"", "ab").size, 3u);
  EXPECT_EQ(Match("\"abc\"", "ax").kind, Kind::kDifferent);
  EXPECT_EQ(Match("\"abc\"", "ax").size, 1u);
  EXPECT_EQ(Match("?? \"b\" ??*2", "ab12345").size, 4u);
  EXPECT_EQ(Match("\"a\" ...", "ab12345").size, 7u);
  EXPECT_EQ(Match("...", "").kind, Kind::kMatch);
  EXPECT_EQ(Match("??*9", "ab").kind, Kind::kShort);
}

TEST(Pattern, CapturesAndUsesThem) {
  Verdict verdict = Match("$n:2 \"-\" $n", "ab-ab");
  EXPECT_EQ(verdict.kind, Verdict::Kind::kMatch);
  EXPECT_EQ(verdict.captured.at("n"), "ab");
  EXPECT_EQ(Match("$n:2 \"-\" $n", "ab-ac").kind, Verdict::Kind::kDifferent);
  EXPECT_EQ(Match("$old", "xyz", {{"old", "xy"}}).size, 2u);
  auto pattern = ParsePattern("$new", true);
  EXPECT_FALSE(MatchPattern(*pattern, "x", {}));
}

TEST(Pattern, DumpsWithAndWithoutWildcards) {
  auto pattern = ParsePattern("\"ab\" ??*2 00 ...", true);
  EXPECT_EQ(DumpPattern(*pattern, {}), "    000000  61 62 ?? ?? 00" + std::string(35, ' ') +
                                           "ab??.\n    and whatever follows\n");
  EXPECT_EQ(HexDump("0123456789abcdefX", 1),
            "    000000  30 31 32 33 34 35 36 37 38 39 61 62 63 64 65 66  0123456789abcdef\n"
            "    ... 1 more\n");
}

TEST(Pattern, WritesBytesAsItReadsThem) {
  std::string all;
  for (int i = 0; i < 256; ++i) all.push_back(static_cast<char>(i));
  EXPECT_EQ(Bytes(WriteBytes(all)), all);
  EXPECT_EQ(WriteBytes("ab\r\n\"\\"), "\"ab\\r\\n\\\"\\\\\"");
  EXPECT_EQ(Bytes(WriteBytes("mostly text \x01\xff")), "mostly text \x01\xff");
  EXPECT_EQ(WriteBytes("\x01\x02\xff"), "0102ff");
}

std::string ErrorOf(const std::string& text) {
  auto transcript = ReadTranscript(text, "t");
  return transcript ? "" : transcript.error().text;
}

TEST(Transcript, JoinsIndentedLinesAndSkipsComments) {
  auto transcript = ReadTranscript(
      "# a comment\n\nclient > \"a # b\"  # and another\n  00\n\t01\n\nexpect relay\r\n", "t");
  ASSERT_TRUE(transcript) << transcript.error().text;
  ASSERT_EQ(transcript->lines.size(), 2u);
  EXPECT_EQ(transcript->lines[0].number_of_line, 3);
  EXPECT_EQ(*RenderPattern(transcript->lines[0].pattern, {}), std::string("a # b\0\1", 7));
  EXPECT_EQ(transcript->lines[1].number_of_line, 7);
}

TEST(Transcript, MayBeIndentedAsAWholeAsInAManual) {
  auto transcript =
      ReadTranscript("# a comment\n    client > 00\n      01\n    expect relay\n", "t");
  ASSERT_TRUE(transcript) << transcript.error().text;
  ASSERT_EQ(transcript->lines.size(), 2u);
  EXPECT_EQ(*RenderPattern(transcript->lines[0].pattern, {}), std::string("\0\1", 2));
}

TEST(Transcript, NamesTheLineThatIsWrong) {
  EXPECT_EQ(ErrorOf("expect relay\n\nfoo\n"),
            "t:3: 'foo' is not a kind of line: see rum-check --help");
  EXPECT_EQ(ErrorOf("expect relay now\n"), "t:1: 'now' is unexpected");
  EXPECT_EQ(ErrorOf("client > 00\n"), "t:1: it has no 'expect' line, and so cannot fail");
  EXPECT_EQ(ErrorOf("open\noption a=b\nexpect relay\n"),
            "t:2: options must precede all other lines");
}

TEST(Transcript, RefusesEveryWordThatIsIncomplete) {
  for (const char* line : {"client",
                           "client >",
                           "client < 00",
                           "expect",
                           "expect client",
                           "expect client > 00",
                           "expect client <",
                           "expect end",
                           "expect end both",
                           "expect lookup",
                           "expect identify",
                           "expect connect",
                           "expect tls",
                           "expect close",
                           "expect close NOTHING",
                           "expect note",
                           "expect note a",
                           "expect metric a = x",
                           "expect metric a = 1 2",
                           "expect log loud \"x\"",
                           "expect log info",
                           "expect timer",
                           "expect timer 5x",
                           "expect nonsense",
                           "option",
                           "option a b=c",
                           "option --a=b",
                           "destination nowhere",
                           "tls",
                           "tls client",
                           "tls client maybe",
                           "peer client",
                           "peer x y",
                           "admission maybe",
                           "map",
                           "map \"a\"",
                           "map = \"b\"",
                           "map \"a\" = ??",
                           "end",
                           "reset",
                           "connect",
                           "connect maybe",
                           "connect ok ok",
                           "answer",
                           "answer maybe",
                           "answer not-found 00",
                           "stop-reading",
                           "advance",
                           "advance 6x",
                           "wait 5s",
                           "close",
                           "close NOTHING",
                           "refusal",
                           "open client"}) {
    EXPECT_TRUE(ErrorOf(std::string(line) + "\nexpect relay\n").starts_with("t:1: ")) << line;
  }
}

TEST(Transcript, KnowsEveryReasonByNameAndWord) {
  for (uint32_t reason = RUM_CLOSE_CLIENT; reason <= RUM_CLOSE_KILLED; ++reason) {
    EXPECT_EQ(CloseReasonByName(CloseReasonName(reason)), reason);
  }
  EXPECT_EQ(CloseReasonByName("client_protocol"), RUM_CLOSE_CLIENT_PROTOCOL);
  EXPECT_EQ(CloseReasonByName("module_failed"), RUM_CLOSE_MODULE);
  EXPECT_EQ(CloseReasonByName("CLIENTS"), 0u);
}

// -- playing --------------------------------------------------------------------------------------

std::string Play(const LittleModule& little, const std::string& text, Cut cut = {}) {
  auto transcript = ReadTranscript(text, "t");
  if (!transcript) return transcript.error().text;
  return PlayTranscript(little.table(), *transcript, cut, {}).value_or("");
}

TEST(Player, CutsLinesOfOneSideThatFollowEachOtherAsOnePiece) {
  LittleModule little;
  std::vector<size_t> sizes;
  little.client = [&](rum_session* s, std::string_view bytes) {
    sizes.push_back(bytes.size());
    Send(s, RUM_CLIENT, bytes);
    return static_cast<int64_t>(bytes.size());
  };
  const char* text = "client > \"ab\"\nclient > \"cd\"\nexpect client < \"abcd\"\n";
  EXPECT_EQ(Play(little, text), "");
  EXPECT_EQ(sizes, std::vector<size_t>{4});
  sizes.clear();
  EXPECT_EQ(Play(little, text, {Cut::Kind::kBytes, 0}), "");
  EXPECT_EQ(sizes, (std::vector<size_t>{1, 1, 1, 1}));
}

TEST(Player, CutsTheSameWayForTheSameSeed) {
  LittleModule little;
  std::vector<size_t> sizes;
  little.client = [&](rum_session*, std::string_view bytes) {
    sizes.push_back(bytes.size());
    return static_cast<int64_t>(bytes.size());
  };
  const char* text = "client > \"x\"*5000\nexpect open\n";
  EXPECT_EQ(Play(little, text, {Cut::Kind::kRandom, 7}), "");
  auto first = std::exchange(sizes, {});
  EXPECT_GT(first.size(), 1u);
  EXPECT_EQ(Play(little, text, {Cut::Kind::kRandom, 7}), "");
  EXPECT_EQ(std::exchange(sizes, {}), first);
  EXPECT_EQ(Play(little, text, {Cut::Kind::kRandom, 8}), "");
  EXPECT_NE(sizes, first);
}

TEST(Player, SometimesAnswersALookupOnlyAfterMoreBytes) {
  LittleModule little;
  int early = 0, late = 0;
  size_t seen = 0;
  little.client = [&](rum_session* s, std::string_view bytes) {
    if (seen == 0) rum_calls->lookup(s, "k", 1);
    seen += bytes.size();
    return static_cast<int64_t>(bytes.size());
  };
  little.looked_up = [&](rum_session*, int32_t, std::string) { ++(seen == 200 ? late : early); };
  const char* text = "map \"k\" = \"v\"\nclient > \"x\"*200\nexpect lookup \"k\"\n";
  for (uint64_t seed = 0; seed < 40; ++seed) {
    seen = 0;
    EXPECT_EQ(Play(little, text, {Cut::Kind::kRandom, seed}), "");
  }
  EXPECT_GT(early, 0);
  EXPECT_GT(late, 0);
}

TEST(Player, StreamsOfTheTwoSidesNeedNoOrderBetweenThem) {
  LittleModule little;
  little.open = [](rum_session* s) { return Connect(s, ""); };
  little.connected = [](rum_session* s, uint32_t) {
    Send(s, RUM_UPSTREAM, "u");
    Send(s, RUM_CLIENT, "c");
  };
  EXPECT_EQ(Play(little,
                 "open\nexpect connect default\nconnect ok\nexpect client < \"c\"\n"
                 "expect upstream < \"u\"\n"),
            "");
}

TEST(Player, ReportsLineExpectedAndGot) {
  LittleModule little;
  little.open = [](rum_session* s) { return Send(s, RUM_CLIENT, "hallo"); };
  std::string report = Play(little, "open\nexpect client < \"hello\"\n");
  EXPECT_TRUE(report.starts_with("t:2: the bytes to the client differ at byte 1")) << report;
  EXPECT_NE(report.find("68 65 6c 6c 6f"), report.npos) << report;
  EXPECT_NE(report.find("68 61 6c 6c 6f"), report.npos) << report;
  EXPECT_NE(report.find("in the line: expect client < \"hello\""), report.npos) << report;
}

TEST(Player, ReportsWhatNoLineExpects) {
  LittleModule little;
  little.open = [](rum_session* s) {
    Send(s, RUM_CLIENT, "surprise");
    return Connect(s, "tcp:h:1");
  };
  EXPECT_NE(
      Play(little, "expect connect \"tcp:h:1\"\n").find("the module sent 8 bytes to the client"),
      std::string::npos);
  EXPECT_NE(Play(little, "expect client < ...\n").find("expect connect \"tcp:h:1\""),
            std::string::npos);
}

TEST(Player, ReportsBrokenRulesAtTheirLine) {
  LittleModule little;
  little.client = [](rum_session*, std::string_view) -> int64_t { return 99; };
  std::string report = Play(little, "open\nclient > 00\nexpect open\n");
  EXPECT_TRUE(report.starts_with("t:2: the module breaks the rules of rum/module.h:")) << report;
}

TEST(Player, FindsRulesBrokenInTheLastHook) {
  LittleModule little;
  little.close = [](rum_session* s, uint32_t) { rum_calls->log(s, 77, "x", 1); };
  EXPECT_NE(Play(little, "open\nexpect open\n").find("log() with level 77"), std::string::npos);
}

TEST(Player, WaitsForAThreadButNotForEver) {
  LittleModule little;
  little.open = [](rum_session* s) { return rum_calls->pause(s) ? RUM_OK : RUM_E_FAILED; };
  auto transcript = ReadTranscript("open\nexpect pause\nwait\n", "t");
  ASSERT_TRUE(transcript);
  auto report = PlayTranscript(little.table(), *transcript, {}, {.wait_millis = 20});
  ASSERT_TRUE(report);
  EXPECT_NE(report->find("not ended by resume() within 20 ms"), report->npos) << *report;
}

TEST(Player, TracesAsATranscript) {
  LittleModule little;
  little.open = [](rum_session* s) { return Send(s, RUM_CLIENT, "a"); };
  little.client = [](rum_session* s, std::string_view bytes) {
    Send(s, RUM_CLIENT, bytes);
    return static_cast<int64_t>(bytes.size());
  };
  auto transcript =
      ReadTranscript("open\nexpect client < ...\nclient > \"b\"\nexpect client < ...\n", "t");
  ASSERT_TRUE(transcript);
  std::string trace;
  EXPECT_FALSE(PlayTranscript(little.table(), *transcript, {}, {.trace = &trace}));
  EXPECT_EQ(trace, "open\nexpect client < \"a\"\nclient > \"b\"\nexpect client < \"b\"\n");
}

}  // namespace
}  // namespace rum
