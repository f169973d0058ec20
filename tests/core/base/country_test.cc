#include "base/country.h"

#include <gtest/gtest.h>

namespace rum {
namespace {

std::string TextOf(std::string_view text) {
  auto set = CountrySet::Parse(text);
  return set ? set->text() : "error: " + set.error().text;
}

TEST(Country, IsTwoLetters) {
  EXPECT_EQ(Country::From("CZ").text(), "CZ");
  EXPECT_EQ(Country::From("cz"), Country::From("CZ"));
  EXPECT_NE(Country::From("CZ"), Country::From("ZC"));
  for (std::string_view text : {"", "C", "CZE", "C1", "C ", "--", "\xc4\x8c"}) {
    EXPECT_FALSE(Country::From(text)) << text;
  }
  EXPECT_EQ(Country().text(), "");
}

TEST(CountrySet, ReadsLists) {
  EXPECT_EQ(TextOf("SK,cz,CZ"), "CZ,SK");
  EXPECT_EQ(TextOf("CZ"), "CZ");
  EXPECT_EQ(TextOf("CZ,"), "error: '': not a country (write its two letters, such as CZ)");
  for (std::string_view text : {"", ",", "CZ, SK", "CZ;SK", "country:CZ", "*"}) {
    EXPECT_TRUE(TextOf(text).starts_with("error: ")) << text;
  }
}

TEST(CountrySet, ContainsNoUnknownCountry) {
  CountrySet set = *CountrySet::Parse("CZ,SK");
  EXPECT_TRUE(set.Contains(Country::From("CZ")));
  EXPECT_FALSE(set.Contains(Country::From("DE")));
  EXPECT_FALSE(set.Contains(Country()));
  EXPECT_FALSE(CountrySet().Contains(Country()));
  set.Add(*CountrySet::Parse("DE"));
  EXPECT_TRUE(set.Contains(Country::From("DE")));
  EXPECT_FALSE(set.empty());
  EXPECT_TRUE(CountrySet().empty());
}

}  // namespace
}  // namespace rum
