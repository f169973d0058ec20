// Passwords under RSA, as caching_sha2_password and sha256_password send them over links without
// TLS: the password and a NUL, covered by the repeated nonce, encrypted with OAEP (SHA-1).
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

// A password on its way, with the NUL at its end; wiped when it goes.
class Secret {
 public:
  explicit Secret(Bytes bytes) : bytes_(bytes.begin(), bytes.end()) {}
  ~Secret() { Wipe(); }
  Secret(Secret&& other) noexcept = default;  // leaves `other` without bytes
  Secret& operator=(Secret&&) = delete;

  Bytes get() const { return bytes_; }

 private:
  friend class RsaKey;
  void Wipe();

  std::vector<uint8_t> bytes_;  // never grows: that would leave a copy behind
};

// `packet` is what a server answers to the request for its key: PEM, of RSA, 1024 to 8192 bits; it
// comes from the network. `password` must fit the key: 213 bytes and the NUL for one of 2048 bits.
Parsed<std::string> EncryptPassword(Bytes packet, Bytes password, const Nonce& nonce);

// A pair of keys. Constant once made: any thread may use it.
class RsaKey {
 public:
  // Takes 0.1 to 0.5 s. nullptr: the library failed.
  static std::unique_ptr<RsaKey> Make(unsigned bits = 2048);
  ~RsaKey();
  RsaKey(const RsaKey&) = delete;
  RsaKey& operator=(const RsaKey&) = delete;

  // The public half, PEM.
  const std::string& pem() const { return pem_; }
  // Nothing: it was not encrypted with this key, or with another padding.
  std::optional<Secret> Decrypt(Bytes cipher, const Nonce& nonce) const;

 private:
  explicit RsaKey(EVP_PKEY* key) : key_(key) {}

  EVP_PKEY* const key_;
  std::string pem_;
};

}  // namespace rum::mysql
