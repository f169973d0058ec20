#include "mysql/ok_packet.h"

#include <gtest/gtest.h>

#include "bytes.h"

namespace rum::mysql {
namespace {

using namespace std::string_literals;

const std::string kProof = "\1" + std::string(64, 'A');
// MySQL 9.7, and MariaDB 11.8 with its own proof and a change of the session's state behind it.
const std::string kPlainOk = FromHex("00000002000000");
const std::string kLongOk = FromHex("00000002400000 41") + kProof + FromHex("03 000102");

TEST(OkPacket, ReadsOneWithoutInfo) {
  auto ok = ParseOk(AsBytes(kPlainOk));
  ASSERT_TRUE(ok.ok()) << ok.why;
  EXPECT_EQ(AsText(ok.value.head), kPlainOk);
  EXPECT_EQ(ok.value.info, "");
  EXPECT_TRUE(ok.value.tail.empty());
  EXPECT_EQ(BuildOk(ok.value), kPlainOk);
}

TEST(OkPacket, ReadsInfoAndState) {
  auto ok = ParseOk(AsBytes(kLongOk));
  ASSERT_TRUE(ok.ok()) << ok.why;
  EXPECT_EQ(ok.value.info, kProof);
  EXPECT_EQ(AsText(ok.value.tail), FromHex("03000102"));
  EXPECT_EQ(BuildOk(ok.value), kLongOk);
}

TEST(OkPacket, AnEmptyInfoBeforeAStateStays) {
  std::string payload = FromHex("00 fc0001 fd000001 0240 0000 00 03000102");
  auto ok = ParseOk(AsBytes(payload));
  ASSERT_TRUE(ok.ok()) << ok.why;
  EXPECT_EQ(ok.value.info, "");
  EXPECT_EQ(AsText(ok.value.head), FromHex("00 fc0001 fd000001 0240 0000"));
  EXPECT_EQ(BuildOk(ok.value), payload);
}

TEST(OkPacket, TakesAnotherInfo) {
  auto ok = ParseOk(AsBytes(kPlainOk));
  ok.value.info = kProof;
  EXPECT_EQ(BuildOk(ok.value), kPlainOk + "\x41" + kProof);
  ok = ParseOk(AsBytes(kLongOk));
  ok.value.info = "other";
  EXPECT_EQ(BuildOk(ok.value), FromHex("00000002400000 05") + "other" + FromHex("03000102"));
}

TEST(OkPacket, RefusesWhatIsNoneOrCutShort) {
  for (const std::string& wrong :
       {""s, "\0"s, "\xff\x15\x04"s, "\xfe"s, FromHex("000000020000"), FromHex("00fb0002000000"),
        FromHex("00000002000000 05 61"), FromHex("00000002000000 feffffffffffffffff 61"),
        FromHex("00000002000000 fb")}) {
    EXPECT_FALSE(ParseOk(AsBytes(wrong)).ok());
  }
}

TEST(OkPacket, SurvivesEveryCutAndChange) {
  auto read = [](Bytes bytes) {
    auto ok = ParseOk(bytes);
    if (!ok.ok()) return;
    auto again = BuildOk(ok.value);
    EXPECT_TRUE(ParseOk(AsBytes(again)).ok());
  };
  ForEachCut(kLongOk, read);
  ForEachChange(kLongOk, read);
}

TEST(CertificateProof, IsWhatClientsWorkOut) {
  Nonce scramble;
  AsText(scramble);
  std::string text = "abcdefghijklmnopqrst";
  std::copy(text.begin(), text.end(), scramble.begin());
  Fingerprint certificate;
  certificate.fill(0x5a);
  std::string hash = FromHex("14e65567abdb5135d0cfd9a70b3032c179a49ee7");
  auto proof = MakeCertificateProof(AsBytes(hash), scramble, certificate);
  ASSERT_TRUE(proof);
  // SHA256 of the three, worked out by another program.
  EXPECT_EQ(*proof,
            "\1"
            "A7524B104AA3116A799DE86893DEED93A92329A0B7BA260F495134D341ECBA6B");
  EXPECT_TRUE(IsCertificateProof(*proof));
}

TEST(CertificateProof, IsKnownByItsForm) {
  EXPECT_TRUE(IsCertificateProof(kProof));
  for (const std::string& wrong :
       {""s, "\1"s, kProof.substr(1), kProof + "A", "\2" + kProof.substr(1),
        kProof.substr(0, 64) + "g", kProof.substr(0, 64) + "a"}) {
    EXPECT_FALSE(IsCertificateProof(wrong)) << wrong;
  }
}

}  // namespace
}  // namespace rum::mysql
