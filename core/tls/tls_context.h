// What TLS sides share: certificates, verification, versions. Made from files, then constant; a
// change of the files makes a new one.
#pragma once

#include <openssl/ssl.h>

#include <array>
#include <cstdint>
#include <memory>
#include <string>

#include "base/result.h"
#include "tls/ticket_keys.h"

namespace rum {

struct TlsFiles {
  std::string certificate;  // PEM, the chain behind it included
  std::string key;          // PEM; empty: it is in the certificate's file
  std::string authorities;  // PEM; as server: clients must show a certificate signed by one of them
  std::string min_version = "1.2";
  std::string ciphers;  // OpenSSL's list for TLS 1.2; empty: OpenSSL's default
};

class TlsContext {
 public:
  // [main] For clients of rum. Errors name the file.
  static Result<std::shared_ptr<const TlsContext>> Server(const TlsFiles& files,
                                                          TicketKeys::Clock clock = NowMillis);
  // [main] For rum as client of a server. `verify`: its certificate must be signed by one of
  // `files.authorities`, or of the system's when that is empty, and have the name.
  static Result<std::shared_ptr<const TlsContext>> Client(const TlsFiles& files, bool verify);

  // [any] Thread-safe: OpenSSL counts references itself.
  SSL_CTX* get() const { return context_.get(); }
  bool verify() const { return verify_; }
  // SHA-256 of the certificate in DER form; zero for a client without one.
  const std::array<uint8_t, 32>& fingerprint() const { return fingerprint_; }
  // Between which the certificate is valid, in seconds since 1970; 0 for a client without one.
  int64_t not_before() const { return not_before_; }
  int64_t not_after() const { return not_after_; }

 private:
  explicit TlsContext(TicketKeys::Clock clock = NowMillis);
  Status Fill(const TlsFiles& files);

  TicketKeys tickets_;  // as server
  std::unique_ptr<SSL_CTX, void (*)(SSL_CTX*)> context_;
  bool verify_ = false;
  std::array<uint8_t, 32> fingerprint_ = {};
  int64_t not_before_ = 0, not_after_ = 0;
};

// [main] Makes a key and a certificate for it that signs itself, valid for ten years, and writes
// both to one PEM file of mode 0600 that did not exist.
Status WriteSelfSignedCertificate(const std::string& path);

// The newest of OpenSSL's errors of this thread as a phrase, and forgets them all.
std::string TakeOpensslError();

}  // namespace rum
