#include "mysql/digest.h"

#include <openssl/evp.h>

namespace rum::mysql {
namespace {

const EVP_MD* Fetched(const char* name, const EVP_MD* otherwise) {
  const EVP_MD* digest = EVP_MD_fetch(nullptr, name, nullptr);
  return digest != nullptr ? digest : otherwise;
}

}  // namespace

const EVP_MD* Sha1Digest() {
  static const EVP_MD* const digest = Fetched("SHA1", EVP_sha1());
  return digest;
}

const EVP_MD* Sha256Digest() {
  static const EVP_MD* const digest = Fetched("SHA2-256", EVP_sha256());
  return digest;
}

}  // namespace rum::mysql
