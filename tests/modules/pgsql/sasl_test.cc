#include "pgsql/sasl.h"

#include <gtest/gtest.h>

#include <string>

namespace rum::pgsql {
namespace {

using namespace std::string_literals;
using namespace std::string_view_literals;

TEST(Sasl, WritesAndReadsMechanisms) {
  EXPECT_EQ(FormatMechanisms(true), "SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0"s);
  EXPECT_EQ(FormatMechanisms(false), "SCRAM-SHA-256\0\0"s);
  for (bool plus : {false, true}) {
    Mechanisms found = ParseMechanisms(FormatMechanisms(plus));
    EXPECT_TRUE(found.well_formed);
    EXPECT_TRUE(found.scram);
    EXPECT_EQ(found.plus, plus);
  }
  Mechanisms other = ParseMechanisms("OAUTHBEARER\0SCRAM-SHA-1\0scram-sha-256\0\0"sv);
  EXPECT_TRUE(other.well_formed);
  EXPECT_FALSE(other.scram || other.plus);
  EXPECT_TRUE(ParseMechanisms("\0"sv).well_formed);
  for (std::string_view bad : {""sv, "SCRAM-SHA-256"sv, "SCRAM-SHA-256\0"sv, "SCRAM-SHA-256\0\0x"sv,
                               "\0SCRAM-SHA-256\0\0"sv}) {
    Mechanisms found = ParseMechanisms(bad);
    EXPECT_FALSE(found.well_formed || found.scram || found.plus) << bad;
  }
}

TEST(Sasl, WritesAndReadsTheFirstAnswer) {
  const std::string body = "SCRAM-SHA-256\0\0\0\0\x20n,,n=,r=Aflnb+3gJ0zz8XCO/ySwLZvb"s;
  EXPECT_EQ(FormatSaslInitial(kScram, "n,,n=,r=Aflnb+3gJ0zz8XCO/ySwLZvb"), body);
  auto initial = ParseSaslInitial(body);
  ASSERT_TRUE(initial);
  EXPECT_EQ(initial->mechanism, kScram);
  EXPECT_EQ(initial->message, "n,,n=,r=Aflnb+3gJ0zz8XCO/ySwLZvb");
  for (size_t size = 0; size < body.size(); ++size) {
    EXPECT_FALSE(ParseSaslInitial(body.substr(0, size))) << size;
  }
  EXPECT_FALSE(ParseSaslInitial(body + "x"));
  EXPECT_FALSE(ParseSaslInitial("SCRAM-SHA-256\0\xff\xff\xff\xff"sv)) << "without a message";
  EXPECT_FALSE(ParseSaslInitial("SCRAM-SHA-256\0\xff\xff\xff\xffn,,n=,r=a"sv));
  const std::string large(70'000, 'x');
  EXPECT_EQ(ParseSaslInitial(FormatSaslInitial(kScram, large))->message, large);
}

TEST(Sasl, ReadsAttributes) {
  Attributes attributes("n=a=b,r=,x=y");
  EXPECT_EQ(attributes.Before(), "");
  EXPECT_EQ(attributes.Next(), 'n');
  EXPECT_FALSE(attributes.Take('r'));
  EXPECT_EQ(attributes.Take('n'), "a=b");
  EXPECT_EQ(attributes.Before(), "n=a=b");
  EXPECT_EQ(attributes.Take('r'), "");
  EXPECT_EQ(attributes.Before(), "n=a=b,r=");
  EXPECT_FALSE(attributes.AtEnd());
  EXPECT_EQ(attributes.Take('x'), "y");
  EXPECT_TRUE(attributes.AtEnd());
  EXPECT_EQ(attributes.Before(), "n=a=b,r=,x=y");
  EXPECT_FALSE(attributes.Take('x'));
  for (std::string_view bad : {""sv, "n"sv, "=a"sv, ",n=a"sv, "nn=a"sv, "1=a"sv, "\xe9=a"sv}) {
    Attributes none(bad);
    EXPECT_EQ(none.Next(), '\0') << bad;
    EXPECT_FALSE(none.Take('n')) << bad;
    EXPECT_FALSE(none.Take('\0')) << bad;
  }
}

TEST(Sasl, TellsEachFaultAsAServerDoes) {
  for (int fault = 1; fault <= static_cast<int>(ScramFault::kPassword); ++fault) {
    ScramError error = ErrorOf(static_cast<ScramFault>(fault), "al\"ice");
    EXPECT_EQ(std::string_view(error.sqlstate).size(), 5u);
    EXPECT_FALSE(error.message.empty());
  }
  EXPECT_EQ(ErrorOf(ScramFault::kPassword, "alice").message,
            "password authentication failed for user \"alice\"");
  EXPECT_STREQ(ErrorOf(ScramFault::kTooLong, "alice").sqlstate, "28P01");
  EXPECT_STREQ(ErrorOf(ScramFault::kInternal, "alice").sqlstate, "XX000");
}

}  // namespace
}  // namespace rum::pgsql
