#include "mysql/record.h"

#include <gtest/gtest.h>

#include "bytes.h"

namespace rum::mysql {
namespace {

using namespace std::string_literals;

constexpr char kHash[] = "*14E65567ABDB5135D0CFD9A70B3032C179A49EE7";

TEST(Record, ReadsSecretAndDestination) {
  std::string value = kHash + "\0tcp:db1:3306\0"s;
  auto record = ParseRecord(AsBytes(value));
  ASSERT_TRUE(record.ok());
  ASSERT_TRUE(record.value.secret);
  EXPECT_EQ(AsText(*record.value.secret), FromHex("14e65567abdb5135d0cfd9a70b3032c179a49ee7"));
  EXPECT_EQ(record.value.destination, "tcp:db1:3306");
}

TEST(Record, AnEmptySecretMeansThatNoneIsStored) {
  std::string value = "\0sock:/run/a,tcp:b:1\0"s;
  auto record = ParseRecord(AsBytes(value));
  ASSERT_TRUE(record.ok());
  EXPECT_FALSE(record.value.secret);
  EXPECT_EQ(record.value.destination, "sock:/run/a,tcp:b:1");
}

TEST(Record, ReadsSmallDigits) {
  std::string value = "*14e65567abdb5135d0cfd9a70b3032c179a49ee7\0tcp:b:1\0"s;
  EXPECT_TRUE(ParseRecord(AsBytes(value)).value.secret);
}

TEST(Record, TakesSecretsOfOtherPluginsForNone) {
  for (const char* secret :
       {"14E65567ABDB5135D0CFD9A70B3032C179A49EE7", "*14E65567", "$A$005$abc", "x",
        "*14E65567ABDB5135D0CFD9A70B3032C179A49EEG", "*14E65567ABDB5135D0CFD9A70B3032C179A49EE77",
        "*14E65567ABDB5135D0CFD9A70B3032C179A49E :"}) {
    std::string value = secret + "\0tcp:b:1\0"s;
    auto record = ParseRecord(AsBytes(value));
    EXPECT_TRUE(record.ok()) << secret;
    EXPECT_FALSE(record.value.secret) << secret;
  }
}

TEST(Record, ReadsAPublicKey) {
  // What MariaDB shows for the password "secret".
  std::string value = "ed25519:ZIgUREUg5PVgQ6LskhXmO+eZLS0nC8be6HPjYWR4YJY\0tcp:b:1\0"s;
  auto record = ParseRecord(AsBytes(value));
  ASSERT_TRUE(record.ok());
  EXPECT_FALSE(record.value.secret);
  ASSERT_TRUE(record.value.public_key);
  EXPECT_EQ(record.value.public_key->plugin, PluginKind::kEd25519);
  EXPECT_EQ(record.value.public_key->bytes,
            FromHex("648814444520e4f56043a2ec9215e63be7992d2d270bc6dee873e3616478 6096"));
  EXPECT_EQ(record.value.destination, "tcp:b:1");
}

TEST(Record, TakesAPublicKeyOfAnotherFormForNone) {
  for (const char* secret : {"ed25519:", "ZIgUREUg5PVgQ6LskhXmO+eZLS0nC8be6HPjYWR4YJY",
                             "ed25519:ZIgUREUg5PVgQ6LskhXmO+eZLS0nC8be6HPjYWR4YJ",
                             "ed25519:ZIgUREUg5PVgQ6LskhXmO+eZLS0nC8be6HPjYWR4YJY=",
                             "ed25519: IgUREUg5PVgQ6LskhXmO+eZLS0nC8be6HPjYWR4YJY",
                             "ed25519:ZIgUREUg5PVgQ6LskhXmO=eZLS0nC8be6HPjYWR4YJY"}) {
    std::string value = secret + "\0tcp:b:1\0"s;
    auto record = ParseRecord(AsBytes(value));
    EXPECT_TRUE(record.ok()) << secret;
    EXPECT_FALSE(record.value.public_key) << secret;
    EXPECT_FALSE(record.value.secret) << secret;
  }
}

const std::string kSaltedKey =
    "parsec:P3:2VydMxmP9CUJ5jPz/9MuaLV7:ZIgUREUg5PVgQ6LskhXmO+eZLS0nC8be6HPjYWR4YJY";

TEST(Record, ReadsASaltedPublicKey) {
  std::string value = kSaltedKey + "\0tcp:b:1\0"s;
  auto record = ParseRecord(AsBytes(value));
  ASSERT_TRUE(record.ok());
  EXPECT_FALSE(record.value.secret);
  ASSERT_TRUE(record.value.public_key);
  EXPECT_EQ(record.value.public_key->plugin, PluginKind::kParsec);
  EXPECT_EQ(record.value.public_key->bytes,
            "P\3" + FromHex("d95c9d33198ff42509e633f3ffd32e68b57b"
                            "648814444520e4f56043a2ec9215e63be7992d2d270bc6dee873e36164786096"));
}

TEST(Record, TakesASaltedPublicKeyOfAnotherFormForNone) {
  auto expect_none = [](const std::string& secret) {
    std::string value = secret + "\0tcp:b:1\0"s;
    auto record = ParseRecord(AsBytes(value));
    EXPECT_TRUE(record.ok()) << secret;
    EXPECT_FALSE(record.value.public_key) << secret;
  };
  for (size_t i = 0; i < kSaltedKey.size(); ++i) {
    expect_none(kSaltedKey.substr(0, i));
    std::string changed = kSaltedKey;
    changed[i] = '=';
    expect_none(changed);
  }
  expect_none(kSaltedKey + "A");
  expect_none("parsec:PP" + kSaltedKey.substr(9));
}

TEST(Record, LeavesWhatComesAfterTheDestinationAlone) {
  std::string value = "\0tcp:b:1\0later\0formats\0"s;
  EXPECT_EQ(ParseRecord(AsBytes(value)).value.destination, "tcp:b:1");
}

TEST(Record, DoesWithoutTheLastNul) {
  std::string value = "\0tcp:b:1"s;
  EXPECT_EQ(ParseRecord(AsBytes(value)).value.destination, "tcp:b:1");
}

TEST(Record, RefusesARecordWithoutDestination) {
  for (const std::string& value : {""s, "\0"s, "\0\0"s, "*abc"s, "tcp:b:1"s, "*abc\0"s}) {
    EXPECT_FALSE(ParseRecord(AsBytes(value)).ok()) << value;
  }
}

TEST(Record, SurvivesEveryCutAndChange) {
  std::string value = kHash + "\0tcp:db1:3306\0tail"s;
  auto read = [](Bytes bytes) {
    auto record = ParseRecord(bytes);
    if (record.ok()) {
      EXPECT_FALSE(record.value.destination.empty());
    }
  };
  ForEachCut(value, read);
  ForEachChange(value, read);
}

}  // namespace
}  // namespace rum::mysql
