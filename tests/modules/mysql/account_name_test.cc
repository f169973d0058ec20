// What servers make of the names that clients send.
#include "mysql/account_name.h"

#include <gtest/gtest.h>

#include <string>

#include "mysql/record.h"

namespace rum::mysql {
namespace {

constexpr uint16_t kUtf8 = 45, kLatin1 = 8, kCp1251 = 14, kSwe7 = 10, kUnknown = 1000;

// The name, or "!" if it is refused.
std::string Fold(std::string_view received, uint16_t charset = kUtf8,
                 NameIn in = NameIn::kResponse) {
  Parsed<AccountName> account = FoldAccountName(received, charset, in);
  return account.ok() ? account.value.name : "!";
}

TEST(AccountName, IsMostlyWhatCame) {
  std::string ascii;
  for (char c = 1; c < 0x7f; ++c) ascii += c;
  for (const std::string& name :
       {std::string(), std::string("a"), std::string("root"), std::string("a b "),
        std::string("a@%"), std::string("\"a\""), std::string("`a`"), std::string("'"),
        std::string("'a"), std::string("a'"), ascii}) {
    for (uint16_t charset : {kUtf8, kLatin1, kCp1251, kUnknown}) {
      EXPECT_EQ(Fold(name, charset), name) << charset;
      EXPECT_EQ(Fold(name, charset, NameIn::kChangeUser), name) << charset;
    }
  }
}

TEST(AccountName, LosesOnePairOfQuotesInALogin) {
  EXPECT_EQ(Fold("'alice'"), "alice");
  EXPECT_EQ(Fold("'alice'", kLatin1), "alice");
  EXPECT_EQ(Fold("''"), "");
  EXPECT_EQ(Fold("'''"), "'");
  EXPECT_EQ(Fold("''alice''"), "!") << "the server would do it again";
  EXPECT_EQ(Fold("'alice'", kUtf8, NameIn::kChangeUser), "!");
}

TEST(AccountName, IsConvertedToUtf8) {
  EXPECT_EQ(Fold("\xc3\xa4\xe2\x82\xac"), "\xc3\xa4\xe2\x82\xac");
  EXPECT_EQ(Fold("\xe4\x80\x81\xff", kLatin1), "\xc3\xa4\xe2\x82\xac\xc2\x81\xc3\xbf");
  EXPECT_EQ(FoldAccountName("'\xe4'", kLatin1, NameIn::kResponse).value.sent, "\xe4");
  EXPECT_EQ(Fold("\xe4", kCp1251), "!");
  EXPECT_EQ(Fold("\xe4", kUnknown), "!");
  EXPECT_EQ(Fold("a\x7f", kCp1251), "!");
  EXPECT_EQ(Fold("abc_1", kSwe7), "abc_1");
  EXPECT_EQ(Fold("a[", kSwe7), "!");
}

TEST(AccountName, OfBrokenBytesIsNone) {
  for (const char* bytes :
       {"bob\xc3", "bob\xe2\x82", "\xff", "a\x80", "\xc0\xa7", "\xc1\xbf", "\xe0\x80\x80",
        "\xed\xa0\x80", "\xf0\x9f\x98\x80", "\xc3(", "\xe2\x82("}) {
    EXPECT_EQ(Fold(bytes), "!") << bytes;
  }
  EXPECT_EQ(Fold("\xe0\xa0\x80\xed\x9f\xbf\xef\xbf\xbf"), "\xe0\xa0\x80\xed\x9f\xbf\xef\xbf\xbf");
}

TEST(AccountName, Has128CharactersAtMost) {
  EXPECT_EQ(Fold(std::string(128, 'n')), std::string(128, 'n'));
  EXPECT_EQ(Fold(std::string(129, 'n')), "!");
  EXPECT_EQ(Fold("'" + std::string(128, 'n') + "'"), std::string(128, 'n'));
  EXPECT_EQ(Fold(std::string(128, '\xe4'), kLatin1).size(), 256u);
  EXPECT_EQ(Fold(std::string(129, '\xe4'), kLatin1), "!");
  EXPECT_EQ(Fold(std::string(100000, 'n')), "!");
  std::string widest;
  for (int i = 0; i < 128; ++i) widest += "\xe2\x82\xac";
  EXPECT_EQ(Fold(widest), widest);
  EXPECT_LE(widest.size(), kMaxUser);
  EXPECT_EQ(Fold(widest + "n"), "!");
}

// Else the server could make of what rum sends another name than rum has judged.
TEST(AccountName, IsTheSameWhenItIsSent) {
  for (uint16_t charset = 0; charset < 300; ++charset) {
    for (const char* name :
         {"'alice'", "''a''", "'\xc3\xa4'", "\xe4", "'''", "''''", "'", "x", "[", ""}) {
      for (NameIn in : {NameIn::kResponse, NameIn::kChangeUser}) {
        Parsed<AccountName> account = FoldAccountName(name, charset, in);
        if (!account.ok()) continue;
        EXPECT_EQ(Fold(account.value.sent, charset, in), account.value.name) << name << charset;
      }
    }
  }
}

}  // namespace
}  // namespace rum::mysql
