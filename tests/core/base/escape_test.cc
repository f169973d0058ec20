#include "base/escape.h"

#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>
#include <random>
#include <string>

namespace rum {
namespace {

std::string Escaped(std::string_view bytes) {
  std::string out;
  AppendEscaped(out, bytes);
  return out;
}

std::string Json(std::string_view bytes) {
  std::string out;
  AppendJsonEscaped(out, bytes);
  return out;
}

// What a JSON reader makes of it; fails when it is not JSON.
std::string ReadJson(std::string_view bytes) {
  auto json = nlohmann::json::parse("\"" + Json(bytes) + "\"", nullptr, false);
  EXPECT_TRUE(json.is_string()) << Json(bytes);
  return json.is_string() ? json.get<std::string>() : "(not JSON)";
}

// The way back from the text form.
std::string Unescaped(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\') {
      out += text[i];
    } else if (text[++i] == 'x') {
      out += static_cast<char>(std::stoi(std::string(text.substr(i + 1, 2)), nullptr, 16));
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

std::vector<std::string> HostileStrings() {
  std::vector<std::string> all = {"",
                                  "plain",
                                  "a b",
                                  "\"",
                                  "\\",
                                  "\\x41",
                                  "\\\"",
                                  "\"\\",
                                  "\\u0041",
                                  "\n",
                                  "\r\n",
                                  "\t",
                                  "\x1b[31m",
                                  "\x7f",
                                  "%s%n",
                                  "\xc3\xa4",
                                  "\xe2\x80\xa8",
                                  "\xe2\x80\xa9",
                                  "\xf0\x9f\x98\x80",
                                  "\xff",
                                  "\xc3",
                                  "\xe2\x82",
                                  "\xf0\x9f\x98",
                                  "\x80",
                                  "\xc0\x80",
                                  "\xe0\x80\x80",
                                  "\xed\xa0\x80",
                                  "\xf4\x90\x80\x80",
                                  "\xf5\x80\x80\x80",
                                  "\xc2\x85",
                                  "\xc2\x9f",
                                  "\xc2\xa0"};
  all.push_back(std::string(1, '\0'));
  all.push_back(std::string("a\0b", 3));
  for (int c = 0; c < 256; ++c) all.push_back(std::string(1, static_cast<char>(c)));
  std::mt19937 random(1);
  for (int i = 0; i < 2000; ++i) {
    std::string s(random() % 24, '\0');
    for (char& c : s) {
      // Mostly bytes that mean something to an escaper or to UTF-8.
      static constexpr char kTelling[] = "\\\"x0a\n\xc3\xa4\xe2\x80\xa8\xf0\x9f\xed\xa0\xff";
      c = random() % 4 ? kTelling[random() % (sizeof kTelling - 1)] : static_cast<char>(random());
    }
    all.push_back(s);
  }
  return all;
}

TEST(Escape, LeavesPrintableTextAlone) {
  EXPECT_EQ(Escaped("The quick brown fox, 123 ~!@#$%^&*()'"),
            "The quick brown fox, 123 ~!@#$%^&*()'");
  EXPECT_EQ(Escaped("J\xc3\xbcrgen \xe6\x97\xa5\xe6\x9c\xac \xf0\x9f\x98\x80"),
            "J\xc3\xbcrgen \xe6\x97\xa5\xe6\x9c\xac \xf0\x9f\x98\x80");
}

TEST(Escape, WritesControlCharactersAsHex) {
  EXPECT_EQ(Escaped(std::string("a\0b", 3)), "a\\x00b");
  EXPECT_EQ(Escaped("a\r\nb\tc"), "a\\x0d\\x0ab\\x09c");
  EXPECT_EQ(Escaped("\x1b[2J\x7f"), "\\x1b[2J\\x7f");
  EXPECT_EQ(Escaped("\xc2\x9b"), "\\xc2\\x9b") << "C1: a terminal takes U+009B for ESC [";
}

TEST(Escape, WritesQuotesAndBackslashesSoThatTheyCanBeReadBack) {
  EXPECT_EQ(Escaped("\"\\"), "\\\"\\\\");
  EXPECT_EQ(Escaped("\\x41"), "\\\\x41");
}

TEST(Escape, WritesLineSeparatorsOfUnicodeAsHex) {
  EXPECT_EQ(Escaped("a\xe2\x80\xa8"
                    "b\xe2\x80\xa9"),
            "a\\xe2\\x80\\xa8b\\xe2\\x80\\xa9");
  EXPECT_EQ(Escaped("\xe2\x80\xa7"), "\xe2\x80\xa7") << "the one before is text";
}

TEST(Escape, WritesBrokenUtf8AsHexByteByByte) {
  EXPECT_EQ(Escaped("\xc3"), "\\xc3");
  EXPECT_EQ(Escaped("\xc3"
                    "a"),
            "\\xc3a");
  EXPECT_EQ(Escaped("\xe2\x82"), "\\xe2\\x82");
  EXPECT_EQ(Escaped("\xc0\xaf"), "\\xc0\\xaf") << "overlong /";
  EXPECT_EQ(Escaped("\xe0\x80\xaf"), "\\xe0\\x80\\xaf");
  EXPECT_EQ(Escaped("\xf0\x80\x80\xaf"), "\\xf0\\x80\\x80\\xaf");
  EXPECT_EQ(Escaped("\xed\xa0\x80"), "\\xed\\xa0\\x80") << "half of a surrogate pair";
  EXPECT_EQ(Escaped("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80") << "above U+10FFFF";
  EXPECT_EQ(Escaped("\xf8\x88\x80\x80\x80"), "\\xf8\\x88\\x80\\x80\\x80");
  EXPECT_EQ(Escaped("\xe2\x82\xac\xe2"), "\xe2\x82\xac\\xe2") << "good ones before stay";
}

TEST(Escape, AppendsToWhatIsThere) {
  std::string out = "user=\"";
  AppendEscaped(out, "a\"b");
  EXPECT_EQ(out, "user=\"a\\\"b");
}

TEST(Escape, NothingThatComesOutCanBreakALineOrLeaveItsQuotes) {
  for (const std::string& bytes : HostileStrings()) {
    std::string text = Escaped(bytes);
    for (size_t i = 0; i < text.size(); ++i) {
      auto c = static_cast<unsigned char>(text[i]);
      ASSERT_GE(c, 0x20);
      ASSERT_NE(c, 0x7f);
      if (c == '\\') {
        ++i;  // what is escaped cannot end the quotes
      } else {
        ASSERT_NE(c, '"') << text;
      }
      ASSERT_LT(i, text.size()) << "a backslash at the end would escape the closing quote";
    }
  }
}

TEST(Escape, TheWayBackGivesTheSameBytes) {
  for (const std::string& bytes : HostileStrings()) {
    EXPECT_EQ(Unescaped(Escaped(bytes)), bytes) << Escaped(bytes);
  }
}

TEST(JsonEscape, IsAlwaysAValidString) {
  for (const std::string& bytes : HostileStrings()) ReadJson(bytes);
}

TEST(JsonEscape, LeavesTextAsItIs) {
  EXPECT_EQ(ReadJson("J\xc3\xbcrgen \"X\""), "J\xc3\xbcrgen \"X\"");
  EXPECT_EQ(ReadJson(std::string("\0\n", 2)), "\\x00\\x0a");
}

TEST(JsonEscape, TwoDifferentNamesNeverReadTheSame) {
  std::map<std::string, std::string> seen;
  for (const std::string& bytes : HostileStrings()) {
    auto [at, fresh] = seen.emplace(ReadJson(bytes), bytes);
    EXPECT_TRUE(fresh || at->second == bytes) << Json(bytes) << " and " << Json(at->second);
  }
}

std::string Utf8(uint32_t code) {
  std::string text;
  if (code < 0x800) {
    text += static_cast<char>(0xc0 | code >> 6);
  } else if (code < 0x10000) {
    text += static_cast<char>(0xe0 | code >> 12);
    text += static_cast<char>(0x80 | (code >> 6 & 0x3f));
  } else {
    text += static_cast<char>(0xf0 | code >> 18);
    text += static_cast<char>(0x80 | (code >> 12 & 0x3f));
    text += static_cast<char>(0x80 | (code >> 6 & 0x3f));
  }
  return text += static_cast<char>(0x80 | (code & 0x3f));
}

// "user<U+202E>nimda" reads as "useradmin" on a terminal, in a browser and in an editor.
TEST(Escape, ShowsWhatNobodySees) {
  for (uint32_t code :
       {0x80u,   0x9fu,   0xadu,    0x61cu,   0x180eu,  0x200bu, 0x200cu, 0x200du, 0x200eu,
        0x200fu, 0x2028u, 0x2029u,  0x202au,  0x202bu,  0x202cu, 0x202du, 0x202eu, 0x2060u,
        0x2066u, 0x2067u, 0x2068u,  0x2069u,  0x206fu,  0x3164u, 0xfe0fu, 0xfeffu, 0xfff9u,
        0xfffbu, 0xffffu, 0x1d173u, 0xe0001u, 0xe007fu, 0xe01efu}) {
    const std::string text = Utf8(code);
    std::string hex;
    for (char c : text) {
      char four[5];
      std::snprintf(four, sizeof four, "\\x%02x", static_cast<unsigned char>(c));
      hex += four;
    }
    EXPECT_EQ(Escaped("a" + text + "b"), "a" + hex + "b") << std::hex << code;
    EXPECT_EQ(ReadJson("a" + text + "b"), "a" + hex + "b") << std::hex << code;
    std::string printable;
    AppendPrintable(printable, text);
    EXPECT_EQ(printable, hex) << std::hex << code;
    const nlohmann::json json = {{"user", "a" + text + "b"}, {"other", "\n\u00e4"}};
    const std::string shown = ShowJson(json.dump(1));
    EXPECT_EQ(shown.find(text), shown.npos) << std::hex << code;
    EXPECT_EQ(nlohmann::json::parse(shown), json) << std::hex << code;
  }
  // Their neighbours are letters, signs and blanks.
  for (uint32_t code : {0xa0u, 0xacu, 0xaeu, 0x61bu, 0x61du, 0x200au, 0x2010u, 0x2027u, 0x202fu,
                        0x205fu, 0x2070u, 0xfdf0u, 0xfefeu - 1, 0xff01u, 0xfffdu, 0x1f600u}) {
    EXPECT_EQ(Escaped(Utf8(code)), Utf8(code)) << std::hex << code;
  }
}

}  // namespace
}  // namespace rum
