#include "tls/ticket_keys.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include <algorithm>

namespace rum {
namespace {

constexpr char kDigest[] = "SHA256";

bool UseMac(EVP_MAC_CTX* mac, std::array<uint8_t, 32>& key) {
  OSSL_PARAM parameters[] = {
      OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key.data(), key.size()),
      OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, const_cast<char*>(kDigest), 0),
      OSSL_PARAM_construct_end()};
  return EVP_MAC_CTX_set_params(mac, parameters) == 1;
}

}  // namespace

TicketKeys::~TicketKeys() {
  OPENSSL_cleanse(&now_, sizeof now_);
  OPENSSL_cleanse(&before_, sizeof before_);
}

void TicketKeys::Serve(SSL_CTX* context) {
  SSL_CTX_set_app_data(context, this);
  SSL_CTX_set_tlsext_ticket_key_evp_cb(context, OnTicket);
}

int TicketKeys::OnTicket(SSL* ssl, unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher,
                         EVP_MAC_CTX* mac, int seal) {
  auto& keys = *static_cast<TicketKeys*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)));
  std::lock_guard lock(keys.mutex_);
  if (!keys.Renew()) return -1;
  return seal ? keys.Seal(name, iv, cipher, mac) : keys.Open(name, iv, cipher, mac);
}

// The lock is held, here and below. Returns false if no random bytes are available.
bool TicketKeys::Renew() {
  const uint64_t now = clock_();
  const uint64_t age = now - now_.made;
  if (now_.good && age < kPeriod) return true;
  before_ = now_;
  if (age >= 2 * kPeriod) before_.good = false;
  now_.made = now;
  now_.good = RAND_bytes(now_.name.data(), static_cast<int>(now_.name.size())) == 1 &&
              RAND_priv_bytes(now_.cipher.data(), static_cast<int>(now_.cipher.size())) == 1 &&
              RAND_priv_bytes(now_.mac.data(), static_cast<int>(now_.mac.size())) == 1;
  return now_.good;
}

int TicketKeys::Seal(unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher,
                     EVP_MAC_CTX* mac) {
  std::copy(now_.name.begin(), now_.name.end(), name);
  const EVP_CIPHER* aes = EVP_aes_256_cbc();
  bool fine = RAND_bytes(iv, EVP_CIPHER_get_iv_length(aes)) == 1 &&
              EVP_EncryptInit_ex(cipher, aes, nullptr, now_.cipher.data(), iv) == 1 &&
              UseMac(mac, now_.mac);
  return fine ? 1 : -1;
}

// Returns 0 if the ticket's key has expired: a full handshake follows. Returns 2 if the ticket is
// valid; the client then receives a new one.
int TicketKeys::Open(const unsigned char* name, const unsigned char* iv, EVP_CIPHER_CTX* cipher,
                     EVP_MAC_CTX* mac) {
  for (Key* key : {&now_, &before_}) {
    if (!key->good || CRYPTO_memcmp(key->name.data(), name, key->name.size()) != 0) continue;
    bool fine = UseMac(mac, key->mac) &&
                EVP_DecryptInit_ex(cipher, EVP_aes_256_cbc(), nullptr, key->cipher.data(), iv) == 1;
    return !fine ? -1 : key == &now_ ? 1 : 2;
  }
  return 0;
}

}  // namespace rum
