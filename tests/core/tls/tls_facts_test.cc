// Facts of handshakes without a network: two ends of OpenSSL that hand each other their bytes in
// memory.
#include "tls/tls_facts.h"

#include <gtest/gtest.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include <memory>
#include <string>
#include <string_view>

#include "base/alpn_list.h"
#include "support/folder.h"
#include "tls/tls_context.h"

namespace rum {
namespace {

using namespace std::string_view_literals;

struct Free {
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
  void operator()(SSL* ssl) const { SSL_free(ssl); }
  void operator()(X509* certificate) const { X509_free(certificate); }
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};
template <class T>
using Owned = std::unique_ptr<T, Free>;

TEST(AlpnList, IsNamesAfterTheirLengths) {
  EXPECT_TRUE(IsAlpnList("\x02h2"sv));
  EXPECT_TRUE(IsAlpnList("\x02h2\x0apostgresql"sv));
  for (auto bad : {""sv, "\x00"sv, "\x02h"sv, "\x02h2\x00"sv, "\x02h2\x05"sv, "\x02h2\x05post"sv}) {
    EXPECT_FALSE(IsAlpnList(bad)) << testing::PrintToString(bad);
  }
}

TEST(AlpnList, TheFirstThatIsWantedAndOfferedIsChosen) {
  EXPECT_EQ(FirstCommonAlpn("\x01x\x02yy\x01z"sv, "\x01z\x02yy"sv), "yy");
  EXPECT_EQ(FirstCommonAlpn("\x01x"sv, "\x02xx\x01y"sv), "");
  EXPECT_EQ(FirstCommonAlpn(""sv, "\x01x"sv), "");
  EXPECT_EQ(FirstCommonAlpn("\x01x"sv, ""sv), "");
}

// A certificate of its own key, signed by that hash; nullptr: the key has its own.
Owned<X509> SelfSigned(EVP_PKEY* key, const EVP_MD* hash) {
  Owned<X509> x(X509_new());
  X509_set_version(x.get(), X509_VERSION_3);
  ASN1_INTEGER_set(X509_get_serialNumber(x.get()), 1);
  X509_gmtime_adj(X509_getm_notBefore(x.get()), -60);
  X509_gmtime_adj(X509_getm_notAfter(x.get()), 3600);
  X509_set_pubkey(x.get(), key);
  EXPECT_GT(X509_sign(x.get(), key, hash), 0);
  return x;
}

class Handshake {
 public:
  Handshake(SSL_CTX* client, SSL_CTX* server) : ends_{Make(client), Make(server)} {
    BIO *one = nullptr, *other = nullptr;
    BIO_new_bio_pair(&one, 0, &other, 0);
    SSL_set_bio(ends_[0].get(), one, one);
    SSL_set_bio(ends_[1].get(), other, other);
    SSL_set_connect_state(ends_[0].get());
    SSL_set_accept_state(ends_[1].get());
  }
  SSL* client() { return ends_[0].get(); }
  SSL* server() { return ends_[1].get(); }
  bool Run() {
    for (int i = 0; i < 10; ++i) SSL_do_handshake(ends_[i % 2].get());
    return SSL_is_init_finished(client()) && SSL_is_init_finished(server());
  }

 private:
  static Owned<SSL> Make(SSL_CTX* context) { return Owned<SSL>(SSL_new(context)); }
  Owned<SSL> ends_[2];
};

struct Signature {
  const char* name;
  EVP_PKEY* (*key)();
  const EVP_MD* (*signs)();
  const EVP_MD* (*binds)();  // nullptr: no channel binding
};
EVP_PKEY* Rsa() { return EVP_RSA_gen(2048); }
EVP_PKEY* Ec() { return EVP_EC_gen("P-256"); }
EVP_PKEY* Ed25519() { return EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"); }
const EVP_MD* None() { return nullptr; }

class EndPoint : public testing::TestWithParam<Signature> {};

INSTANTIATE_TEST_SUITE_P(Signatures, EndPoint,
                         testing::Values(Signature{"Sha256", Ec, EVP_sha256, EVP_sha256},
                                         Signature{"Sha384", Ec, EVP_sha384, EVP_sha384},
                                         Signature{"RsaSha512", Rsa, EVP_sha512, EVP_sha512},
                                         Signature{"RsaSha1", Rsa, EVP_sha1, EVP_sha256},
                                         Signature{"RsaMd5", Rsa, EVP_md5, EVP_sha256},
                                         Signature{"Ed25519", Ed25519, None, nullptr}),
                         [](const auto& info) { return info.param.name; });

TEST_P(EndPoint, IsTheSameAtBothEndsAndByTheHashOfTheSignature) {
  Owned<EVP_PKEY> key(GetParam().key());
  Owned<X509> certificate = SelfSigned(key.get(), GetParam().signs());
  Owned<SSL_CTX> client(SSL_CTX_new(TLS_client_method())), server(SSL_CTX_new(TLS_server_method()));
  for (SSL_CTX* context : {client.get(), server.get()}) SSL_CTX_set_security_level(context, 0);
  SSL_CTX_use_certificate(server.get(), certificate.get());
  SSL_CTX_use_PrivateKey(server.get(), key.get());
  Handshake handshake(client.get(), server.get());
  ASSERT_TRUE(handshake.Run());
  auto ours = ServerEndPoint(handshake.server(), true);
  auto theirs = ServerEndPoint(handshake.client(), false);
  EXPECT_EQ(ours, theirs);
  EXPECT_EQ(ours.has_value(), GetParam().binds != nullptr);
  std::string der = PeerCertificate(handshake.client());
  EXPECT_FALSE(der.empty());
  EXPECT_EQ(PeerCertificate(handshake.server()), "");
  if (!ours) return;
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  EVP_Digest(der.data(), der.size(), digest, &size, GetParam().binds(), nullptr);
  EXPECT_EQ(*ours, std::string(reinterpret_cast<char*>(digest), size));
}

// A server of rum's, whose app data is as in a stream.
class AlpnTest : public testing::Test {
 protected:
  AlpnTest() {
    TlsFiles files;
    files.certificate = folder_ / "own.pem";
    EXPECT_TRUE(WriteSelfSignedCertificate(files.certificate).ok());
    auto made = TlsContext::Server(files);
    EXPECT_TRUE(made);
    server_ = *made;
    client_.reset(SSL_CTX_new(TLS_client_method()));
  }
  // What is agreed on.
  std::string Choose(std::string_view wanted, std::string_view offered) {
    Handshake handshake(client_.get(), server_->get());
    if (!wanted.empty())
      choice_ = std::make_unique<AlpnChoice>(AlpnChoice{std::string(wanted), ""});
    SSL_set_app_data(handshake.server(), &choice_);
    if (!offered.empty()) {
      SSL_set_alpn_protos(handshake.client(), reinterpret_cast<const uint8_t*>(offered.data()),
                          static_cast<unsigned>(offered.size()));
    }
    SSL_set_tlsext_host_name(handshake.client(), "db.example");
    EXPECT_TRUE(handshake.Run());
    EXPECT_EQ(AskedServerName(handshake.server()), "db.example");
    EXPECT_EQ(ChosenAlpn(handshake.client()), ChosenAlpn(handshake.server()));
    return std::string(ChosenAlpn(handshake.server()));
  }

  test::Folder folder_;
  std::shared_ptr<const TlsContext> server_;
  Owned<SSL_CTX> client_;
  std::unique_ptr<AlpnChoice> choice_;
};

TEST_F(AlpnTest, TheFirstThatTheServerWantsIsAgreedOn) {
  EXPECT_EQ(Choose("\x02h2\x0apostgresql"sv, "\x0apostgresql\x02h2"sv), "h2");
  EXPECT_EQ(choice_->offered, "\x0apostgresql\x02h2"sv);
}

TEST_F(AlpnTest, NothingInCommonIsNoFailureAndTheOfferIsKept) {
  EXPECT_EQ(Choose("\x02h2"sv, "\x04imap"sv), "");
  EXPECT_EQ(choice_->offered, "\x04imap"sv);
  choice_.reset();
  EXPECT_EQ(Choose(""sv, "\x04imap"sv), "");
  EXPECT_EQ(choice_->offered, "\x04imap"sv);
}

TEST_F(AlpnTest, WithoutAnOfferThereIsNone) {
  EXPECT_EQ(Choose("\x02h2"sv, ""sv), "");
  EXPECT_EQ(choice_->offered, "");
  choice_.reset();
  EXPECT_EQ(Choose(""sv, ""sv), "");
  EXPECT_FALSE(choice_);
}

TEST_F(AlpnTest, OfALongOfferWholeNamesAreKept) {
  std::string name = "\xff" + std::string(255, 'x'), offer;
  for (int i = 0; i < 40; ++i) offer += name;
  EXPECT_EQ(Choose("\x02h2"sv, offer + "\x02h2"), "h2");
  EXPECT_EQ(choice_->offered, name + name + name + name);
}

}  // namespace
}  // namespace rum
