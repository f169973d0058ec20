#include "mysql/auth.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "bytes.h"

namespace rum::mysql {
namespace {

template <class Array>
Array ArrayOf(std::string_view bytes) {
  Array array;
  EXPECT_EQ(bytes.size(), array.size());
  std::copy(bytes.begin(), bytes.end(), array.begin());
  return array;
}

// The password "secret"; PASSWORD('secret') of a server is this in hexadecimal.
const Hash kStored = ArrayOf<Hash>(FromHex("14e65567abdb5135d0cfd9a70b3032c179a49ee7"));
// SHA1("secret").
const Hash kOnce = ArrayOf<Hash>(FromHex("e5e9fa1ba31ecd1ae84f75caaa474f3a663f05f4"));
const Nonce kNonce = ArrayOf<Nonce>("abcdefghijklmnopqrst");
// SHA1("secret") XOR SHA1(nonce, stored), worked out by another program.
const std::string kToken = FromHex("8817c50fa779daef010ee7577825b0847df9842e");

TEST(Auth, ChecksATokenOfTheRightPassword) {
  auto once = CheckToken(AsBytes(kToken), kNonce, kStored);
  ASSERT_TRUE(once);
  EXPECT_EQ(*once, kOnce);
}

TEST(Auth, MakesTheTokenForAnotherNonce) {
  auto token = MakeToken(kOnce, kNonce, kStored);
  ASSERT_TRUE(token);
  EXPECT_EQ(AsText(*token), kToken);
}

TEST(Auth, RefusesATokenWithAnyBitChanged) {
  for (size_t at = 0; at < kToken.size(); ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string changed = kToken;
      changed[at] = static_cast<char>(changed[at] ^ (1 << bit));
      EXPECT_FALSE(CheckToken(AsBytes(changed), kNonce, kStored)) << at << " " << bit;
    }
  }
}

TEST(Auth, RefusesATokenForAnotherNonceOrAnotherHash) {
  Nonce nonce = kNonce;
  nonce[19] ^= 1;
  EXPECT_FALSE(CheckToken(AsBytes(kToken), nonce, kStored));
  Hash stored = kStored;
  stored[0] ^= 1;
  EXPECT_FALSE(CheckToken(AsBytes(kToken), kNonce, stored));
}

TEST(Auth, RefusesTokensOfOtherSizes) {
  EXPECT_FALSE(CheckToken({}, kNonce, kStored));
  EXPECT_FALSE(CheckToken(AsBytes(kToken).first(19), kNonce, kStored));
  EXPECT_FALSE(CheckToken(AsBytes(kToken + "x"), kNonce, kStored));
}

TEST(Auth, TheHashItselfIsNoProof) {
  EXPECT_FALSE(CheckToken(kStored, kNonce, kStored));
  EXPECT_FALSE(CheckToken(kStored, kNonce, Hash{}));
}

TEST(Auth, MakesNoncesThatAreTextWithoutADollarAndNeverTheSame) {
  std::set<Nonce> seen;
  std::set<uint8_t> bytes;
  for (int i = 0; i < 1000; ++i) {
    auto nonce = MakeNonce();
    ASSERT_TRUE(nonce);
    EXPECT_TRUE(seen.insert(*nonce).second);
    bytes.insert(nonce->begin(), nonce->end());
  }
  EXPECT_EQ(*bytes.begin(), 0x21);
  EXPECT_EQ(*bytes.rbegin(), 0x7e);
  EXPECT_EQ(bytes.size(), 93u);  // 0x21 to 0x7e but for '$'
  EXPECT_EQ(bytes.count('$'), 0u);
}

}  // namespace
}  // namespace rum::mysql
