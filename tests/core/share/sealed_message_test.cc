// Messages that only processes with the same secret can write and read, and only on their channel.
#include "share/sealed_message.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace rum {
namespace {

const std::string kSecret(32, 's');

TEST(SealedMessages, AreReadByTheSameSecretOnTheSameChannelOnly) {
  const SealedMessages here(kSecret), there(kSecret), stranger(std::string(32, 'x'));
  const auto sealed = here.Seal("rum:ask:mysql", "who has it?");
  ASSERT_TRUE(sealed);
  EXPECT_EQ(sealed->find("who"), sealed->npos);
  EXPECT_EQ(there.Open("rum:ask:mysql", *sealed), "who has it?");
  EXPECT_EQ(there.Open("rum:ask:pgsql", *sealed), std::nullopt);
  EXPECT_EQ(there.Open("rum:answer:mysql:one", *sealed), std::nullopt);
  EXPECT_EQ(stranger.Open("rum:ask:mysql", *sealed), std::nullopt);
}

TEST(SealedMessages, AreRefusedWithOneBitChangedCutOrWithMore) {
  const SealedMessages here(kSecret);
  const std::string sealed = *here.Seal("c", "text");
  for (size_t i = 0; i < sealed.size() * 8; ++i) {
    std::string changed = sealed;
    changed[i / 8] = static_cast<char>(changed[i / 8] ^ (1 << i % 8));
    EXPECT_EQ(here.Open("c", changed), std::nullopt) << i;
  }
  for (size_t size = 0; size < sealed.size(); ++size) {
    EXPECT_EQ(here.Open("c", sealed.substr(0, size)), std::nullopt) << size;
  }
  EXPECT_EQ(here.Open("c", sealed + "x"), std::nullopt);
  EXPECT_EQ(here.Open("c", sealed), "text");
}

TEST(SealedMessages, DifferEachTimeAndAreBounded) {
  const SealedMessages here(kSecret);
  std::set<std::string> all;
  for (int i = 0; i < 100; ++i) all.insert(*here.Seal("c", "text"));
  EXPECT_EQ(all.size(), 100u);
  const std::string most(SealedMessages::kPlainMost, 'm');
  const auto sealed = here.Seal("c", most);
  ASSERT_TRUE(sealed);
  EXPECT_LE(sealed->size(), SealedMessages::kMessageMost);
  EXPECT_EQ(here.Open("c", *sealed), most);
  EXPECT_EQ(here.Seal("c", most + "m"), std::nullopt);
  EXPECT_EQ(here.Open("c", std::string(SealedMessages::kMessageMost + 1, 'x')), std::nullopt);
  EXPECT_EQ(here.Open("c", *here.Seal("c", "")), "");
}

TEST(SealedMessages, SecretsAreBase64OfThirtyTwoBytesOrMore) {
  const std::string zeros = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
  ASSERT_TRUE(DecodeSecret(zeros));
  EXPECT_EQ(*DecodeSecret(zeros), std::string(32, '\0'));
  EXPECT_EQ(DecodeSecret("MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDEyMzQ1Njc4OQ==")->size(), 40u);
  for (const char* bad : {"", "AAAA", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==",
                          "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
                          "not base64 at all, and long "
                          "enough for it, too!!",
                          "=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}) {
    const auto read = DecodeSecret(bad);
    ASSERT_FALSE(read) << bad;
    EXPECT_EQ(read.error().text.find(bad[0] ? bad : "none"), std::string::npos);
  }
}

}  // namespace
}  // namespace rum
