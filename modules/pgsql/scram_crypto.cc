#include "pgsql/scram_crypto.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/x509.h>
#include <sys/random.h>

#include <algorithm>
#include <cctype>
#include <memory>

namespace rum::pgsql {
namespace {

constexpr size_t kNonceBytes = 18;
constexpr size_t kKeyText = 44;  // characters of base64

const uint8_t* Start(std::string_view text) {
  return reinterpret_cast<const uint8_t*>(text.data());
}

// The decoded size; nullopt if the text is not base64. The library itself accepts blanks, and
// padding in the middle.
std::optional<size_t> SizeOfBase64(std::string_view text) {
  if (text.size() % 4 != 0) return std::nullopt;
  const size_t padding = text.ends_with("==") ? 2 : text.ends_with('=') ? 1 : 0;
  for (unsigned char c : text.substr(0, text.size() - padding)) {
    const bool letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
    if (!letter && !(c >= '0' && c <= '9') && c != '+' && c != '/') return std::nullopt;
  }
  return text.size() / 4 * 3 - padding;
}

}  // namespace

bool HmacSha256(const Key& key, std::string_view text, Key* result) {
  unsigned size = 0;
  return HMAC(EVP_sha256(), key.bytes.data(), kKeySize, Start(text), text.size(),
              result->bytes.data(), &size) != nullptr &&
         size == kKeySize;
}

bool Sha256(const Key& key, Key* result) {
  unsigned size = 0;
  return EVP_Digest(key.bytes.data(), kKeySize, result->bytes.data(), &size, EVP_sha256(),
                    nullptr) == 1 &&
         size == kKeySize;
}

Key Xor(const Key& one, const Key& other) {
  Key result;
  for (size_t i = 0; i < kKeySize; ++i) result.bytes[i] = one.bytes[i] ^ other.bytes[i];
  return result;
}

bool IsSame(const Key& one, const Key& other) {
  return CRYPTO_memcmp(one.bytes.data(), other.bytes.data(), kKeySize) == 0;
}

std::string EncodeBase64(std::string_view bytes) {
  // The library writes a NUL behind the text.
  std::string text((bytes.size() + 2) / 3 * 4 + 1, '\0');
  EVP_EncodeBlock(reinterpret_cast<uint8_t*>(text.data()), Start(bytes),
                  static_cast<int>(bytes.size()));
  text.pop_back();
  return text;
}

std::optional<std::string> DecodeBase64(std::string_view text, size_t max_bytes) {
  auto size = SizeOfBase64(text);
  if (!size || *size > max_bytes) return std::nullopt;
  std::string bytes(text.size() / 4 * 3, '\0');
  if (EVP_DecodeBlock(reinterpret_cast<uint8_t*>(bytes.data()), Start(text),
                      static_cast<int>(text.size())) < 0) {
    return std::nullopt;
  }
  bytes.resize(*size);
  return bytes;
}

bool DecodeKey(std::string_view text, Key* key) {
  if (text.size() != kKeyText || SizeOfBase64(text) != kKeySize) return false;
  Wiped<uint8_t, kKeyText / 4 * 3> bytes;
  if (EVP_DecodeBlock(bytes.bytes.data(), Start(text), kKeyText) < 0) return false;
  std::copy_n(bytes.bytes.begin(), kKeySize, key->bytes.begin());
  return true;
}

std::optional<std::string> MakeScramNonce() {
  char random[kNonceBytes];
  if (getrandom(random, sizeof random, 0) != static_cast<ssize_t>(sizeof random)) {
    return std::nullopt;
  }
  return EncodeBase64({random, sizeof random});
}

std::optional<std::string> HashForBinding(std::string_view certificate) {
  if (certificate.size() > kMaxCertificate) return std::nullopt;
  const uint8_t* at = Start(certificate);
  ERR_set_mark();  // an error left in the queue would be taken for one of a TLS session
  std::unique_ptr<X509, decltype(&X509_free)> parsed(
      d2i_X509(nullptr, &at, static_cast<long>(certificate.size())), X509_free);
  ERR_pop_to_mark();
  // Bytes behind the certificate would be hashed, too.
  if (!parsed || at != Start(certificate) + certificate.size()) return std::nullopt;
  int digest = NID_undef;
  if (X509_get_signature_info(parsed.get(), &digest, nullptr, nullptr, nullptr) != 1) {
    return std::nullopt;
  }
  if (digest == NID_md5 || digest == NID_sha1) digest = NID_sha256;
  const EVP_MD* method = digest == NID_undef ? nullptr : EVP_get_digestbynid(digest);
  uint8_t hash[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  if (method == nullptr ||
      EVP_Digest(certificate.data(), certificate.size(), hash, &size, method, nullptr) != 1) {
    return std::nullopt;
  }
  return std::string(reinterpret_cast<char*>(hash), size);
}

}  // namespace rum::pgsql
