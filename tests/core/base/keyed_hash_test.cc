#include "base/keyed_hash.h"

#include <gtest/gtest.h>

#include <functional>
#include <set>
#include <string>

namespace rum {
namespace {

// What Python 3.11 makes of them (siphash13, PYTHONHASHSEED=0).
TEST(KeyedHash, IsSipHash13) {
  EXPECT_EQ(SipHash({0, 0}, "a"), 0x407448d2b89b1813u);
  EXPECT_EQ(SipHash({0, 0}, "abc"), 0xc03bc3a0042630f2u);
  EXPECT_EQ(SipHash({0, 0}, "01234567"), 0xda3dcedf84ea6cc6u);
  EXPECT_EQ(SipHash({0, 0}, "0123456789abcdef!"), 0x9463628f6c8882cau);
  EXPECT_NE(SipHash({1, 0}, "a"), SipHash({0, 0}, "a"));
  EXPECT_NE(SipHash({0, 1}, "a"), SipHash({0, 0}, "a"));
}

// By the hash of the library, which anybody can calculate, a client could choose its bucket.
TEST(KeyedHash, IsThatOfUsersAndDestinations) {
  const std::string name = "a name of a user";
  EXPECT_NE(NameHash()(name), std::hash<std::string_view>()(name));
  EXPECT_EQ(NameHash()(name), KeyedHash(name));
  std::set<uint64_t> hashes;
  for (int i = 0; i < 1000; ++i) hashes.insert(NameHash()(name + std::to_string(i)));
  EXPECT_EQ(hashes.size(), 1000u);
}

}  // namespace
}  // namespace rum
