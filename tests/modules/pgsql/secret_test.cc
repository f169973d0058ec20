#include "pgsql/secret.h"

#include "scram_client.h"

namespace rum::pgsql {
namespace {

using namespace std::string_literals;
using namespace std::string_view_literals;

constexpr std::string_view kHash = "md525dacfe74dce8d3098122097addc8819";  // m5, "pencil"

std::string Replaced(std::string text, std::string_view from, std::string_view to) {
  return text.replace(text.find(from), from.size(), to);
}

TEST(Secret, ReadsAVerifier) {
  auto verifier = ParseScramVerifier(kRfcVerifier);
  ASSERT_TRUE(verifier);
  EXPECT_EQ(verifier->iterations, 4096u);
  EXPECT_EQ(EncodeBase64(verifier->salt), "W22ZaJ0SNY7soEsUEjb6gQ==");
  EXPECT_EQ(EncodeBase64(verifier->stored_key.text()),
            "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=");
  EXPECT_EQ(EncodeBase64(verifier->server_key.text()),
            "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=");
}

TEST(Secret, ReadsSaltsAndIterationsOfAnySize) {
  for (size_t size : {1, 2, 3, 15, 16, 17, 32, 63, 64}) {
    const std::string salt(size, '\xa5');
    auto verifier = ParseScramVerifier(
        Replaced(std::string(kRfcVerifier), "W22ZaJ0SNY7soEsUEjb6gQ==", EncodeBase64(salt)));
    ASSERT_TRUE(verifier) << size;
    EXPECT_EQ(verifier->salt, salt);
  }
  for (uint32_t count : {1u, 16u, 100'000u, 999'999'999u}) {
    auto verifier =
        ParseScramVerifier(Replaced(std::string(kRfcVerifier), "4096", std::to_string(count)));
    ASSERT_TRUE(verifier) << count;
    EXPECT_EQ(verifier->iterations, count);
  }
}

TEST(Secret, RefusesOtherFormsOfVerifiers) {
  const std::string good(kRfcVerifier);
  for (size_t size = 0; size < good.size(); ++size) {
    EXPECT_FALSE(ParseScramVerifier(good.substr(0, size))) << size;
  }
  for (const std::string& bad :
       {good + "=",
        good + "\n",
        " " + good,
        good + ":"s,
        Replaced(good, "SHA-256", "SHA-1"),
        Replaced(good, "SCRAM", "scram"),
        Replaced(good, "4096", "0"),
        Replaced(good, "4096", ""),
        Replaced(good, "4096", "-1"),
        Replaced(good, "4096", "+1"),
        Replaced(good, "4096", " 1"),
        Replaced(good, "4096", "04096"),
        Replaced(good, "4096", "1000000000"),
        Replaced(good, "4096", "4294967297"),
        Replaced(good, "4096", "18446744073709551617"),
        Replaced(good, "4096", "0x10"),
        Replaced(good, "W22ZaJ0SNY7soEsUEjb6gQ==", ""),
        Replaced(good, "gQ==", "gQ"),
        Replaced(good, "gQ==", "===="),
        Replaced(good, "gQ==", "g==="),
        Replaced(good, "W22Z", "W=2Z"),
        Replaced(good, "W22Z", "W2\nZ"),
        Replaced(good, "WG5d", "WG5-"),
        Replaced(good, "4qY=", "4qY"),
        Replaced(good, "4qY=", "4qYA"),
        Replaced(good, "4qY=", "4qY=AAAA"),
        Replaced(good, "W22ZaJ0SNY7soEsUEjb6gQ==", EncodeBase64(std::string(65, 'x')))}) {
    EXPECT_FALSE(ParseScramVerifier(bad)) << bad;
  }
}

TEST(Secret, ReadsAnMd5Hash) {
  auto hash = ParseMd5Hash(kHash);
  ASSERT_TRUE(hash);
  EXPECT_EQ(hash->digits.text(), kHash.substr(3));
  const std::string good(kHash);
  for (const std::string& bad :
       {""s, "md5"s, good.substr(0, 34), good + "0", "MD5" + good.substr(3), "sha" + good.substr(3),
        Replaced(good, "25da", "25DA"), Replaced(good, "25da", "25dg"),
        Replaced(good, "25da", " 5da"), good.substr(3)}) {
    EXPECT_FALSE(ParseMd5Hash(bad)) << bad;
  }
}

// As psql 15 answered PostgreSQL 15.18.
TEST(Secret, MakesAndChecksTheMd5AnswerOfARecordedLogin) {
  const auto salt = "\xa5\xee\xe5\x9f"sv;
  const std::string answer = "md59438f2abbb6fc8aa57c66f932ce0d9b7";
  const Md5Hash hash = *ParseMd5Hash(kHash);
  EXPECT_EQ(MakeMd5Answer(hash, salt), answer);
  EXPECT_TRUE(CheckMd5Answer(hash, salt, answer));
  for (size_t at = 0; at < answer.size(); ++at) {
    std::string changed = answer;
    changed[at] ^= 1;
    EXPECT_FALSE(CheckMd5Answer(hash, salt, changed)) << at;
    EXPECT_FALSE(CheckMd5Answer(hash, salt, answer.substr(0, at))) << at;
  }
  EXPECT_FALSE(CheckMd5Answer(hash, salt, answer + "\0"s));
  EXPECT_FALSE(CheckMd5Answer(hash, "\xa5\xee\xe5\x9e", answer));
  EXPECT_FALSE(CheckMd5Answer(hash, salt, kHash));
  for (std::string_view other : {""sv, "\xa5\xee\xe5"sv, "\xa5\xee\xe5\x9f\x00"sv}) {
    EXPECT_FALSE(MakeMd5Answer(hash, other));
    EXPECT_FALSE(CheckMd5Answer(hash, other, answer));
  }
}

}  // namespace
}  // namespace rum::pgsql
