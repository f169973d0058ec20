#include "mysql/rsa.h"

#include <gtest/gtest.h>
#include <openssl/err.h>

#include <algorithm>

#include "bytes.h"

namespace rum::mysql {
namespace {

using namespace std::string_literals;

const std::string kPassword = "correct horse battery staple, and longer than the nonce\0"s;

Nonce SomeNonce() {
  Nonce nonce;
  for (size_t i = 0; i < nonce.size(); ++i) nonce[i] = static_cast<uint8_t>('a' + i);
  return nonce;
}

class Rsa : public testing::Test {
 protected:
  static void SetUpTestSuite() { key_ = RsaKey::Make().release(); }
  static void TearDownTestSuite() {
    delete key_;
    key_ = nullptr;
  }
  void SetUp() override { ASSERT_NE(key_, nullptr); }
  // TLS on the same thread would take an error left behind for its own.
  void TearDown() override { EXPECT_EQ(ERR_peek_error(), 0u); }

  static std::string Decrypted(std::string_view cipher, const Nonce& nonce) {
    std::optional<Secret> secret = key_->Decrypt(AsBytes(cipher), nonce);
    return secret ? std::string(AsText(secret->get())) : "nothing";
  }

  static const RsaKey* key_;
};
const RsaKey* Rsa::key_ = nullptr;

TEST_F(Rsa, DecryptsWhatWasEncryptedWithItsPublicHalf) {
  for (const std::string& password : {kPassword, "\0"s, std::string(213, 'x') + "\0"s}) {
    auto cipher = EncryptPassword(AsBytes(key_->pem()), AsBytes(password), SomeNonce());
    ASSERT_TRUE(cipher.ok()) << cipher.why;
    EXPECT_EQ(cipher.value.size(), 256u);
    EXPECT_EQ(Decrypted(cipher.value, SomeNonce()), password);
  }
}

TEST_F(Rsa, CoversThePasswordWithTheNonce) {
  auto cipher = EncryptPassword(AsBytes(key_->pem()), AsBytes("\1\2\3\0"s), SomeNonce());
  ASSERT_TRUE(cipher.ok());
  EXPECT_EQ(Decrypted(cipher.value, Nonce{}), "\x60\x60\x60\x64");
}

TEST_F(Rsa, TakesTheKeyWithTheMarkOfMoreDataBeforeIt) {
  EXPECT_TRUE(EncryptPassword(AsBytes("\1" + key_->pem()), AsBytes(kPassword), Nonce{}).ok());
}

TEST_F(Rsa, RefusesWhatIsNoKey) {
  const std::string& pem = key_->pem();
  std::string damaged = pem;
  damaged[pem.size() / 2] = '!';
  // An Ed25519 key, and an RSA key of 512 bits.
  const std::string other =
      "-----BEGIN PUBLIC KEY-----\n"
      "MCowBQYDK2VwAyEAeQovoe0ybqfZcFGstMHQEFcDzQdR7dG//HScp81AJI4=\n"
      "-----END PUBLIC KEY-----\n";
  const std::string small =
      "-----BEGIN PUBLIC KEY-----\n"
      "MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBALBiMH0nPIN6uxfLbfsy/x1oDXfubFWQ\n"
      "LS4RczA3tytyUZY4SkSWZof6cl1lCm6ruQVvELpQL5XFnHPx69MVII8CAwEAAQ==\n"
      "-----END PUBLIC KEY-----\n";
  for (const std::string& wrong : {""s, "\1"s, "\1\1"s + pem, damaged, other, small, "\2"s + other,
                                   pem.substr(0, pem.size() / 2), std::string(100000, '-')}) {
    auto cipher = EncryptPassword(AsBytes(wrong), AsBytes(kPassword), Nonce{});
    EXPECT_FALSE(cipher.ok()) << wrong.substr(0, 100);
  }
}

TEST_F(Rsa, AsksNobodyForTheWordOfAKeyThatSaysItHasOne) {
  std::string pem = key_->pem();
  pem.insert(pem.find('\n') + 1,
             "Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00112233445566778899AABBCCDDEEFF\n\n");
  EXPECT_FALSE(EncryptPassword(AsBytes(pem), AsBytes(kPassword), Nonce{}).ok());
}

TEST_F(Rsa, RefusesAPasswordThatDoesNotFitTheKey) {
  std::string password(214, 'x');
  EXPECT_TRUE(EncryptPassword(AsBytes(key_->pem()), AsBytes(password), Nonce{}).ok());
  password += 'x';
  auto cipher = EncryptPassword(AsBytes(key_->pem()), AsBytes(password), Nonce{});
  ASSERT_FALSE(cipher.ok());
  EXPECT_NE(std::string(cipher.why).find("too long"), std::string::npos);
}

TEST_F(Rsa, DecryptsNothingElse) {
  auto cipher = EncryptPassword(AsBytes(key_->pem()), AsBytes(kPassword), SomeNonce());
  ASSERT_TRUE(cipher.ok());
  std::string changed = cipher.value;
  changed[100] = static_cast<char>(changed[100] ^ 1);
  for (const std::string& wrong : {changed, cipher.value.substr(1), cipher.value + "x", ""s,
                                   std::string(256, '\0'), std::string(256, '\xff'), kPassword}) {
    EXPECT_EQ(Decrypted(wrong, SomeNonce()), "nothing");
  }
  auto other = RsaKey::Make();
  ASSERT_TRUE(other);
  EXPECT_FALSE(other->Decrypt(AsBytes(cipher.value), SomeNonce()));
}

}  // namespace
}  // namespace rum::mysql
