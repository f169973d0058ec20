// The keys of session tickets. They are rotated, so that a stolen key decrypts only the sessions of
// a few hours.
#pragma once

#include <openssl/ssl.h>

#include <array>
#include <cstdint>
#include <mutex>

#include "base/clock.h"

namespace rum {

class TicketKeys {
 public:
  // A key encrypts tickets for one period and decrypts them for one more. OpenSSL itself rejects
  // tickets older than two hours.
  static constexpr uint64_t kPeriod = 8 * 3600 * 1000;  // ms

  using Clock = uint64_t (*)();  // ms; monotonic
  explicit TicketKeys(Clock clock = NowMillis) : clock_(clock) {}
  ~TicketKeys();
  TicketKeys(const TicketKeys&) = delete;

  // [main] Makes `context` use these keys, which must outlive it.
  void Serve(SSL_CTX* context);

 private:
  struct Key {
    std::array<uint8_t, 16> name = {};
    std::array<uint8_t, 32> cipher = {};
    std::array<uint8_t, 32> mac = {};
    uint64_t made = 0;
    bool good = false;
  };

  static int OnTicket(SSL* ssl, unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher,
                      EVP_MAC_CTX* mac, int seal);
  bool Renew();
  int Seal(unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher, EVP_MAC_CTX* mac);
  int Open(const unsigned char* name, const unsigned char* iv, EVP_CIPHER_CTX* cipher,
           EVP_MAC_CTX* mac);

  const Clock clock_;
  std::mutex mutex_;  // guards the keys: workers share a context
  Key now_, before_;
};

}  // namespace rum
