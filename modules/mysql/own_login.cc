#include "mysql/own_login.h"

#include <openssl/evp.h>

#include <algorithm>
#include <array>

#include "mysql/auth.h"
#include "mysql/reply.h"

namespace rum::mysql {
namespace {

constexpr uint8_t kMoreMark = 0x01;
constexpr uint8_t kFullAuthentication = 0x04;
constexpr uint8_t kKeyRequest = 0x02;

using Digest = std::array<uint8_t, 32>;

bool Sha256(Bytes one, Bytes two, Digest* digest) {
  std::string all(AsText(one));
  all += AsText(two);
  unsigned size = 0;
  const bool made =
      EVP_Digest(all.data(), all.size(), digest->data(), &size, EVP_sha256(), nullptr) == 1;
  Wipe(&all);
  return made;
}

bool Sha1(Bytes bytes, Hash* hash) {
  unsigned size = 0;
  return EVP_Digest(bytes.data(), bytes.size(), hash->data(), &size, EVP_sha1(), nullptr) == 1;
}

std::optional<std::string> NativeToken(Bytes word, const Nonce& nonce) {
  Hash once, twice;
  std::optional<Hash> token;
  if (Sha1(word, &once) && Sha1(once, &twice)) token = MakeToken(once, nonce, twice);
  Wipe(&once);
  Wipe(&twice);
  if (!token) return std::nullopt;
  return std::string(AsText(*token));
}

// SHA256(password) XOR SHA256(SHA256(SHA256(password)), nonce).
std::optional<std::string> Sha2Token(Bytes word, const Nonce& nonce) {
  Digest once, twice, mask;
  if (!Sha256(word, {}, &once) || !Sha256(once, {}, &twice) || !Sha256(twice, nonce, &mask)) {
    return std::nullopt;
  }
  std::string token;
  for (size_t i = 0; i < once.size(); ++i) token += static_cast<char>(once[i] ^ mask[i]);
  once.fill(0);
  return token;
}

}  // namespace

std::optional<std::string> OwnLogin::Prove(const Nonce& nonce) const {
  return NativeToken(word(), nonce);
}

std::optional<std::string> OwnLogin::Answer(Bytes payload) {
  switch (KindOfReply(payload)) {
    case ReplyKind::kSwitch:
      return Begin(payload);
    case ReplyKind::kMore:
      return GoOn(payload);
    default:
      return std::nullopt;
  }
}

std::optional<std::string> OwnLogin::Begin(Bytes payload) {
  Parsed<PluginRequest> request = ParsePluginRequest(payload);
  if (!request.ok() || request.value.data.size() < kNonceSize) return std::nullopt;
  kind_ = KindOfPlugin(request.value.plugin);
  std::copy_n(request.value.data.begin(), kNonceSize, nonce_.begin());
  if (kind_ == PluginKind::kNative) return NativeToken(word(), nonce_);
  if (kind_ == PluginKind::kCachingSha2) return Sha2Token(word(), nonce_);
  return std::nullopt;
}

// The server does not remember the password, and wants to see it: or, by an open link, its cipher.
std::optional<std::string> OwnLogin::GoOn(Bytes payload) {
  if (kind_ != PluginKind::kCachingSha2 || payload.size() < 2 || payload[0] != kMoreMark) {
    return std::nullopt;
  }
  if (asked_for_key_) {
    Parsed<std::string> cipher = EncryptPassword(payload, password_.get(), nonce_);
    return cipher.ok() ? std::optional(std::move(cipher.value)) : std::nullopt;
  }
  if (payload[1] != kFullAuthentication) return std::nullopt;
  if (safe_) return std::string(AsText(password_.get()));
  asked_for_key_ = true;
  return std::string(1, static_cast<char>(kKeyRequest));
}

}  // namespace rum::mysql
