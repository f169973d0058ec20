#include "share/sealed_message.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include <memory>

namespace rum {
namespace {

// A version has its own first bytes. They are authenticated, with the channel.
constexpr std::string_view kHead = "rumask1\n";
constexpr std::string_view kPurpose = "rum share questions 1";
constexpr size_t kSalt = 32, kTag = 16;

using Key = std::array<uint8_t, 32>;
using Context = std::unique_ptr<EVP_CIPHER_CTX, decltype(&EVP_CIPHER_CTX_free)>;

const uint8_t* Bytes(std::string_view text) {
  return reinterpret_cast<const uint8_t*>(text.data());
}
uint8_t* Bytes(std::string& text) { return reinterpret_cast<uint8_t*>(text.data()); }

bool Derive(std::string_view from, std::string_view what, Key* key) {
  unsigned size = 0;
  return HMAC(EVP_sha256(), from.data(), static_cast<int>(from.size()), Bytes(what), what.size(),
              key->data(), &size) &&
         size == key->size();
}

// With the key of this salt; the nonce is always zero, as the key is used once.
Context Begin(const Key& common, std::string_view salt, std::string_view channel, bool seal) {
  Context context(EVP_CIPHER_CTX_new(), EVP_CIPHER_CTX_free);
  Key key;
  const std::array<uint8_t, 12> nonce = {};
  int size = 0;
  const bool ok =
      context &&
      Derive({reinterpret_cast<const char*>(common.data()), common.size()}, salt, &key) &&
      EVP_CipherInit_ex(context.get(), EVP_aes_256_gcm(), nullptr, key.data(), nonce.data(),
                        seal) &&
      EVP_CipherUpdate(context.get(), nullptr, &size, Bytes(kHead), kHead.size()) &&
      EVP_CipherUpdate(context.get(), nullptr, &size, Bytes(channel),
                       static_cast<int>(channel.size()));
  OPENSSL_cleanse(key.data(), key.size());
  if (!ok) context.reset();
  return context;
}

}  // namespace

SealedMessages::SealedMessages(std::string_view secret) {
  if (!Derive(secret, kPurpose, &key_)) RAND_bytes(key_.data(), static_cast<int>(key_.size()));
}

SealedMessages::~SealedMessages() { OPENSSL_cleanse(key_.data(), key_.size()); }

std::optional<std::string> SealedMessages::Seal(std::string_view channel,
                                                std::string_view plain) const {
  if (plain.size() > kPlainMost) return {};
  std::string salt(kSalt, '\0'), body(plain.size(), '\0'), tag(kTag, '\0');
  if (RAND_bytes(Bytes(salt), kSalt) != 1) return {};
  Context context = Begin(key_, salt, channel, true);
  int size = 0;
  if (!context ||
      !EVP_CipherUpdate(context.get(), Bytes(body), &size, Bytes(plain),
                        static_cast<int>(plain.size())) ||
      !EVP_CipherFinal_ex(context.get(), Bytes(tag), &size) ||
      !EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_GET_TAG, kTag, tag.data())) {
    return {};
  }
  return std::string(kHead) + salt + body + tag;
}

std::optional<std::string> SealedMessages::Open(std::string_view channel,
                                                std::string_view sealed) const {
  if (sealed.size() > kMessageMost || sealed.size() < kHead.size() + kSalt + kTag ||
      !sealed.starts_with(kHead)) {
    return {};
  }
  sealed.remove_prefix(kHead.size());
  const std::string_view salt = sealed.substr(0, kSalt);
  std::string tag(sealed.substr(sealed.size() - kTag));
  const std::string_view body = sealed.substr(kSalt, sealed.size() - kSalt - kTag);
  std::string plain(body.size(), '\0');
  Context context = Begin(key_, salt, channel, false);
  int size = 0;
  uint8_t rest[16];
  if (!context ||
      !EVP_CipherUpdate(context.get(), Bytes(plain), &size, Bytes(body),
                        static_cast<int>(body.size())) ||
      !EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_SET_TAG, kTag, tag.data()) ||
      EVP_CipherFinal_ex(context.get(), rest, &size) != 1) {
    return {};
  }
  return plain;
}

Result<std::string> DecodeSecret(std::string_view base64) {
  const Error fault{Fault::kConfig,
                    "it is not base64 of at least 32 bytes, as from "
                    "'openssl rand -base64 32'"};
  if (base64.size() % 4 != 0 || base64.empty()) return fault;
  if (base64.find('=') < base64.size() - 2) return fault;
  std::string bytes(base64.size() / 4 * 3, '\0');
  const int size = EVP_DecodeBlock(Bytes(bytes), Bytes(base64), static_cast<int>(base64.size()));
  if (size < 0) {
    OPENSSL_cleanse(bytes.data(), bytes.size());
    return fault;
  }
  const size_t padding = base64.ends_with("==") ? 2 : base64.ends_with("=") ? 1 : 0;
  bytes.resize(static_cast<size_t>(size) - padding);
  if (bytes.size() >= SealedMessages::kSecretLeast) return bytes;
  OPENSSL_cleanse(bytes.data(), bytes.size());
  return fault;
}

}  // namespace rum
