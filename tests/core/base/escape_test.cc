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

}  // namespace
}  // namespace rum
