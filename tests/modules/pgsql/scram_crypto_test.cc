#include "pgsql/scram_crypto.h"

#include <gtest/gtest.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "pgsql/sasl.h"

namespace rum::pgsql {
namespace {

using namespace std::string_literals;

// RFC 4648, section 10.
TEST(ScramCrypto, WritesAndReadsBase64) {
  for (const auto& [bytes, text] :
       std::vector<std::pair<std::string, std::string>>{{"", ""},
                                                        {"f", "Zg=="},
                                                        {"fo", "Zm8="},
                                                        {"foo", "Zm9v"},
                                                        {"foob", "Zm9vYg=="},
                                                        {"fooba", "Zm9vYmE="},
                                                        {"foobar", "Zm9vYmFy"},
                                                        {"\0\xff"s, "AP8="}}) {
    EXPECT_EQ(EncodeBase64(bytes), text);
    EXPECT_EQ(DecodeBase64(text, bytes.size()), bytes);
    if (!bytes.empty()) {
      EXPECT_FALSE(DecodeBase64(text, bytes.size() - 1));
    }
  }
  for (const std::string& bad : {"Z"s, "Zg"s, "Zg="s, "Z==="s, "===="s, "=Zg="s, "Zg==Zg=="s,
                                 "Zg=\n"s, " Zg="s, "Zm9v\n"s, "Zm-v"s, "Zm_v"s, "Zm9\0"s}) {
    EXPECT_FALSE(DecodeBase64(bad, 100)) << bad;
  }
}

// RFC 4231, section 4.2, with the key that HMAC fills up with zeroes.
TEST(ScramCrypto, ComputesHmac) {
  Key key, result;
  std::fill_n(key.bytes.begin(), 20, 0x0b);
  ASSERT_TRUE(HmacSha256(key, "Hi There", &result));
  EXPECT_EQ(EncodeBase64(result.text()), "sDRMYdjbOFNcqK/OrwvxK4gdwgDJgz2nJuk3bC4yz/c=");
}

TEST(ScramCrypto, MakesNoncesThatAreNeverTheSame) {
  std::set<std::string> seen;
  for (int i = 0; i < 1000; ++i) {
    auto nonce = MakeScramNonce();
    ASSERT_TRUE(nonce);
    EXPECT_EQ(nonce->size(), 24u);
    EXPECT_TRUE(IsNonce(*nonce));
    EXPECT_TRUE(seen.insert(*nonce).second);
  }
}

// A certificate, signed by its own key with the digest; as DER.
std::string MakeCertificate(EVP_PKEY* key, const EVP_MD* digest, bool pss = false) {
  std::unique_ptr<X509, decltype(&X509_free)> certificate(X509_new(), X509_free);
  X509_set_version(certificate.get(), 2);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate.get()), 1);
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), 0);
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), 3600);
  X509_set_pubkey(certificate.get(), key);
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  EVP_PKEY_CTX* options = nullptr;
  EXPECT_EQ(EVP_DigestSignInit(context, &options, digest, nullptr, key), 1);
  if (pss) EVP_PKEY_CTX_set_rsa_padding(options, RSA_PKCS1_PSS_PADDING);
  EXPECT_GT(X509_sign_ctx(certificate.get(), context), 0);
  EVP_MD_CTX_free(context);
  uint8_t* der = nullptr;
  const int size = i2d_X509(certificate.get(), &der);
  std::string bytes(reinterpret_cast<char*>(der), static_cast<size_t>(size));
  OPENSSL_free(der);
  return bytes;
}

std::string Digest(std::string_view bytes, const EVP_MD* digest) {
  std::string hash(EVP_MAX_MD_SIZE, '\0');
  unsigned size = 0;
  EVP_Digest(bytes.data(), bytes.size(), reinterpret_cast<uint8_t*>(hash.data()), &size, digest,
             nullptr);
  return hash.substr(0, size);
}

TEST(ScramCrypto, HashesACertificateByTheDigestOfItsSignature) {
  std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> rsa(EVP_RSA_gen(2048), EVP_PKEY_free);
  std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> ec(EVP_EC_gen("P-256"), EVP_PKEY_free);
  for (EVP_PKEY* key : {rsa.get(), ec.get()}) {
    for (auto [signed_by, hashed_by] :
         {std::pair(EVP_sha256(), EVP_sha256()), std::pair(EVP_sha384(), EVP_sha384()),
          std::pair(EVP_sha512(), EVP_sha512()), std::pair(EVP_sha1(), EVP_sha256())}) {
      const std::string certificate = MakeCertificate(key, signed_by);
      EXPECT_EQ(HashForBinding(certificate), Digest(certificate, hashed_by));
    }
  }
  const std::string pss = MakeCertificate(rsa.get(), EVP_sha384(), true);
  EXPECT_EQ(HashForBinding(pss), Digest(pss, EVP_sha384()));
}

TEST(ScramCrypto, HasNoHashForEd25519AndForWhatIsNoCertificate) {
  std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> ed25519(
      EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"), EVP_PKEY_free);
  EXPECT_FALSE(HashForBinding(MakeCertificate(ed25519.get(), nullptr)));
  std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> ec(EVP_EC_gen("P-256"), EVP_PKEY_free);
  const std::string good = MakeCertificate(ec.get(), EVP_sha256());
  ERR_clear_error();
  EXPECT_FALSE(HashForBinding(""));
  EXPECT_FALSE(HashForBinding(good + "x"));
  EXPECT_FALSE(HashForBinding(std::string(kMaxCertificate + 1, '\x30')));
  for (size_t size = 0; size < good.size(); ++size) {
    EXPECT_FALSE(HashForBinding(good.substr(0, size))) << size;
  }
  EXPECT_EQ(ERR_peek_error(), 0u) << "an error is left for the next one who looks";
}

}  // namespace
}  // namespace rum::pgsql
