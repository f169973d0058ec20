#include "admin/token.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>
#include <string>

#include "support/folder.h"

namespace rum {
namespace {

using namespace std::string_literals;

class Token : public testing::Test {
 protected:
  Result<StatisticsToken> Of(const std::string& text) {
    std::ofstream(path_) << text;
    ::chmod(path_.c_str(), 0600);
    return StatisticsToken::Read(path_);
  }

  test::Folder folder_;
  const std::string path_ = folder_ / "token";
};

TEST_F(Token, IsTheOnlyLineOfItsFile) {
  const std::string shortest(16, 'a'), longest(512, 'z');
  for (const char* end : {"", "\n", "\r\n"}) {
    for (const std::string& token : {shortest, longest}) {
      auto read = Of(token + end);
      ASSERT_TRUE(read.ok()) << read.error().text;
      EXPECT_TRUE(read->IsIn("Bearer " + token));
    }
  }
  for (const std::string& text :
       {""s, "\n"s, shortest.substr(1), longest + "z", longest + "zzzz", shortest + "\n\n",
        shortest + " ", " " + shortest, shortest + "\n" + shortest, shortest + "\0"s,
        shortest + "\x7f", shortest + "\xc3\xa4"}) {
    auto read = Of(text);
    ASSERT_FALSE(read.ok()) << text;
    EXPECT_NE(read.error().text.find("'" + path_ + "': it must be one line"), std::string::npos);
    EXPECT_EQ(read.error().text.find("aaa"), std::string::npos) << "no secret in a message";
  }
}

TEST_F(Token, IsABearersOrAnybodysPassword) {
  auto read = Of("0123456789abcdef");
  ASSERT_TRUE(read.ok());
  for (const char* good : {"Bearer 0123456789abcdef", "bEARER   0123456789abcdef",
                           "Basic OjAxMjM0NTY3ODlhYmNkZWY=",      // ":0123456789abcdef"
                           "basic bWU6MDEyMzQ1Njc4OWFiY2RlZg==",  // "me:0123456789abcdef"
                           "Basic bWVzOjAxMjM0NTY3ODlhYmNkZWY="}) {
    EXPECT_TRUE(read->IsIn(good)) << good;
  }
  for (const char* bad :
       {"", " ", "Bearer", "Bearer ", "Bearer 0123456789abcde", "Bearer 0123456789abcdef0",
        "Bearer 0123456789ABCDEF", "Bearer0123456789abcdef", "0123456789abcdef", "Basic",
        "Basic 0123456789abcdef", "Basic =", "Basic ====", "Basic ZZZ", "Basic \x80\x80\x80\x80",
        "Basic MDEyMzQ1Njc4OWFiY2RlZg==",  // without a colon
        "Digest OjAxMjM0NTY3ODlhYmNkZWY="}) {
    EXPECT_FALSE(read->IsIn(bad)) << bad;
  }
}

}  // namespace
}  // namespace rum
