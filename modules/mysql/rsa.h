// RSA encryption of passwords, as caching_sha2_password and sha256_password send them over links
// without TLS: the password and a NUL, XORed with the repeated nonce, encrypted with OAEP (SHA-1).
#pragma once

#include <openssl/types.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mysql/handshake.h"
#include "mysql/reader.h"

namespace rum::mysql {

// A password in transit, with its final NUL; wiped on destruction.
class Secret {
 public:
  explicit Secret(Bytes bytes) : bytes_(bytes.begin(), bytes.end()) {}
  ~Secret() { Wipe(); }
  Secret(Secret&& other) noexcept = default;  // leaves `other` empty
  Secret& operator=(Secret&&) = delete;

  Bytes get() const { return bytes_; }

 private:
  friend class RsaKey;
  void Wipe();

  std::vector<uint8_t> bytes_;  // never grows, as that would leave a copy behind
};

// `packet` is a server's answer to the request for its key: PEM, RSA, 1024 to 8192 bits; it is
// untrusted. `password` must fit the key: at most 213 bytes and the NUL for 2048 bits.
Parsed<std::string> EncryptPassword(Bytes packet, Bytes password, const Nonce& nonce);

// A key pair. Immutable: any thread may use it.
class RsaKey {
 public:
  // Takes 0.1 to 0.5 s. nullptr: the library failed.
  static std::unique_ptr<RsaKey> Make(unsigned bits = 2048);
  ~RsaKey();
  RsaKey(const RsaKey&) = delete;
  RsaKey& operator=(const RsaKey&) = delete;

  // The public key, PEM.
  const std::string& pem() const { return pem_; }
  // nullopt: encrypted with another key or another padding.
  std::optional<Secret> Decrypt(Bytes cipher, const Nonce& nonce) const;

 private:
  explicit RsaKey(EVP_PKEY* key) : key_(key) {}

  EVP_PKEY* const key_;
  std::string pem_;
};

}  // namespace rum::mysql
