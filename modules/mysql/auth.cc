#include "mysql/auth.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <sys/random.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "mysql/digest.h"

namespace rum::mysql {
namespace {

constexpr uint8_t kNonceFirst = 0x21;
constexpr uint8_t kNonceLast = 0x7e;
// 93 of 128 bytes are accepted: so many random bytes yield 20 practically always.
constexpr int kRandomMost = 512;

// Random bytes of the kernel, fetched for about nine nonces at a time: otherwise each login needs a
// system call for them. One per thread.
class RandomBytes {
 public:
  // Each byte is given once, and not kept.
  std::optional<uint8_t> Next() {
    if (left_ == 0) {
      // So few are never cut short (getrandom(2)); a signal can come early after boot.
      const ssize_t n = TEMP_FAILURE_RETRY(getrandom(bytes_, sizeof bytes_, 0));
      if (n != static_cast<ssize_t>(sizeof bytes_)) return {};
      left_ = sizeof bytes_;
    }
    return std::exchange(bytes_[--left_], 0);
  }

 private:
  uint8_t bytes_[256];
  size_t left_ = 0;
};

std::optional<Hash> Sha1(Bytes bytes) {
  Hash hash;
  unsigned size = 0;
  if (EVP_Digest(bytes.data(), bytes.size(), hash.data(), &size, Sha1Digest(), nullptr) != 1 ||
      size != kHashSize) {
    return std::nullopt;
  }
  return hash;
}

// SHA1(nonce, stored) is what SHA1(password) is XORed with on the wire.
std::optional<Hash> CoverOrUncover(Bytes hash, const Nonce& nonce, const Hash& stored) {
  std::array<uint8_t, kNonceSize + kHashSize> seed;
  std::copy(stored.begin(), stored.end(), std::copy(nonce.begin(), nonce.end(), seed.begin()));
  std::optional<Hash> result = Sha1(seed);
  if (result) {
    for (size_t i = 0; i < kHashSize; ++i) (*result)[i] ^= hash[i];
  }
  return result;
}

}  // namespace

std::optional<Nonce> MakeNonce() {
  thread_local RandomBytes of_thread;
  RandomBytes& random = of_thread;  // each use of the other looks for the thread's again
  Nonce nonce;
  size_t filled = 0;
  for (int taken = 0; taken < kRandomMost; ++taken) {
    const std::optional<uint8_t> byte = random.Next();
    if (!byte) return std::nullopt;
    const uint8_t character = *byte & 0x7f;
    if (character < kNonceFirst || character > kNonceLast || character == '$') continue;
    nonce[filled++] = character;
    if (filled == nonce.size()) return nonce;
  }
  return std::nullopt;
}

std::optional<Hash> CheckToken(Bytes token, const Nonce& nonce, const Hash& stored) {
  if (token.size() != kHashSize) return std::nullopt;
  std::optional<Hash> password_hash = CoverOrUncover(token, nonce, stored);
  if (!password_hash) return std::nullopt;
  std::optional<Hash> twice = Sha1(*password_hash);
  if (!twice || CRYPTO_memcmp(twice->data(), stored.data(), kHashSize) != 0) return std::nullopt;
  return password_hash;
}

std::optional<Hash> MakeToken(const Hash& password_hash, const Nonce& nonce, const Hash& stored) {
  return CoverOrUncover(password_hash, nonce, stored);
}

void Wipe(Hash* hash) { OPENSSL_cleanse(hash->data(), hash->size()); }

void Wipe(std::string* text) {
  OPENSSL_cleanse(text->data(), text->size());
  text->clear();
}

}  // namespace rum::mysql
