// Keys of any length for the table of "rum.shared/1". The table bounds its keys: one that is too
// long is replaced by its digest.
#pragma once

#include <openssl/evp.h>
#include <rum/module.h>

#include <string>
#include <string_view>

namespace rum::common {

// [any] 32 bytes; none if OpenSSL is out of memory.
inline std::string Sha256(std::string_view bytes) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  if (EVP_Digest(bytes.data(), bytes.size(), digest, &size, EVP_sha256(), nullptr) != 1) return {};
  return {reinterpret_cast<const char*>(digest), size};
}

// [any] Empty, which the table refuses, if OpenSSL is out of memory: two sessions must never have
// the same key.
inline std::string SharedKey(std::string_view key) {
  return key.size() <= RUM_MOST_SHARED_KEY ? std::string(key) : Sha256(key);
}

}  // namespace rum::common
