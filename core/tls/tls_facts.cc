#include "tls/tls_facts.h"

#include <openssl/evp.h>
#include <openssl/objects.h>
#include <openssl/x509.h>

#include <memory>

namespace rum {
namespace {

struct Free {
  void operator()(X509* certificate) const { X509_free(certificate); }
};
using Certificate = std::unique_ptr<X509, Free>;

Certificate OfPeer(const SSL* ssl) { return Certificate(SSL_get1_peer_certificate(ssl)); }

// nullptr: the signature has no hash function of its own.
const EVP_MD* HashOf(X509* certificate) {
  int hash = NID_undef, key = NID_undef;
  if (!X509_get_signature_info(certificate, &hash, &key, nullptr, nullptr)) return nullptr;
  if (hash == NID_undef) return nullptr;
  if (hash == NID_md5 || hash == NID_sha1) return EVP_sha256();
  return EVP_get_digestbynid(hash);
}

}  // namespace

std::string_view ChosenAlpn(const SSL* ssl) {
  const unsigned char* name = nullptr;
  unsigned size = 0;
  SSL_get0_alpn_selected(ssl, &name, &size);
  return {reinterpret_cast<const char*>(name), size};
}

std::string_view AskedServerName(const SSL* ssl) {
  const char* name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
  return name ? name : std::string_view();
}

std::string PeerCertificate(const SSL* ssl) {
  const Certificate certificate = OfPeer(ssl);
  const int size = certificate ? i2d_X509(certificate.get(), nullptr) : 0;
  if (size <= 0) return {};
  std::string der(static_cast<size_t>(size), '\0');
  auto* end = reinterpret_cast<unsigned char*>(der.data());
  i2d_X509(certificate.get(), &end);
  return der;
}

std::optional<std::string> ServerEndPoint(const SSL* ssl, bool server) {
  const Certificate shown = server ? nullptr : OfPeer(ssl);
  X509* certificate = server ? SSL_get_certificate(ssl) : shown.get();
  const EVP_MD* hash = certificate ? HashOf(certificate) : nullptr;
  if (!hash) return {};
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  if (!X509_digest(certificate, hash, digest, &size)) return {};
  return std::string(reinterpret_cast<const char*>(digest), size);
}

}  // namespace rum
