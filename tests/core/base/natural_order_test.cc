#include "base/natural_order.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

namespace rum {
namespace {

TEST(NaturalOrder, NumbersCompareAsNumbers) {
  const std::vector<std::string> sorted = {"",
                                           "sock:/run/2",
                                           "sock:/run/10",
                                           "tcp:10.0.0.9:3306",
                                           "tcp:10.0.0.10:3306",
                                           "tcp:10.0.0.10:13306",
                                           "tcp:10.0.2.1:3306",
                                           "tcp:10.0.10.1:3306",
                                           "tcp:[fd00::9]:1",
                                           "tcp:[fd00::10]:1",
                                           "tcp:db001:1",
                                           "tcp:db1:1",
                                           "tcp:db2:1",
                                           "tcp:db2a:1",
                                           "tcp:db10:1",
                                           "tcp:db99999999999999999999999999:1",
                                           "tcp:db100000000000000000000000000:1",
                                           "tcp:db:1"};
  for (size_t i = 0; i < sorted.size(); ++i) {
    for (size_t j = 0; j < sorted.size(); ++j) {
      EXPECT_EQ(NaturalLess(sorted[i], sorted[j]), i < j) << sorted[i] << " and " << sorted[j];
    }
  }
}

TEST(NaturalOrder, IsAStrictOrderOfAnyTexts) {
  std::mt19937 random(7);
  auto text = [&] {
    std::string out;
    for (size_t n = random() % 7; n > 0; --n) out += "00123a:\xff"[random() % 8];
    return out;
  };
  for (int i = 0; i < 20000; ++i) {
    const std::string a = text(), b = text(), c = text();
    EXPECT_EQ(NaturalLess(a, b) + NaturalLess(b, a), a == b ? 0 : 1) << a << " and " << b;
    if (NaturalLess(a, b) && NaturalLess(b, c)) {
      EXPECT_TRUE(NaturalLess(a, c)) << a << ", " << b << ", " << c;
    }
  }
}

}  // namespace
}  // namespace rum
