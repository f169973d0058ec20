// Messages between processes through a Redis that nobody trusts: encrypted and authenticated by
// AES-256-GCM. Each has a key of its own, derived from the common one and a random salt, so that no
// nonce can repeat, however many processes use the common key. Pure, but for random bytes.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace rum {

class SealedMessages {
 public:
  static constexpr size_t kSecretLeast = 32;    // bytes
  static constexpr size_t kMessageMost = 2048;  // bytes of a sealed message
  static constexpr size_t kPlainMost = kMessageMost - 64;

  // `secret`: at least 32 bytes that all processes have.
  explicit SealedMessages(std::string_view secret);
  ~SealedMessages();
  SealedMessages(const SealedMessages&) = delete;

  // For the receivers of a channel only. nullopt: it is too long, or OpenSSL failed.
  std::optional<std::string> Seal(std::string_view channel, std::string_view plain) const;
  // nullopt: it was not sealed with this secret for this channel.
  std::optional<std::string> Open(std::string_view channel, std::string_view sealed) const;

 private:
  std::array<uint8_t, 32> key_;
};

// The bytes of a secret in base64, such as those of `openssl rand -base64 32`. The error does not
// show it.
Result<std::string> DecodeSecret(std::string_view base64);

}  // namespace rum
